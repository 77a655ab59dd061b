package worker

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/memory"
	"fapws/cmd/fapws/plan"
	"fapws/pybridge"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/metrics"
	"fapws/runtime/remote"
	"fapws/runtime/system"
)

// applicationVariable is set in the environment of a process that is to run the application of another one (--idle-stop).
const applicationVariable = "FAPWS_APPLICATION"

// applicationEnds is how long the process of an application has for its lifespans and atexit functions, when all requests have ended.
const applicationEnds = 5 * time.Second

// IsApplication reports whether this process was started to run the application of another one, and removes from the environment what
// says so.
func IsApplication() bool {
	_, is := os.LookupEnv(applicationVariable)
	os.Unsetenv(applicationVariable)
	return is
}

// application is the process that has Python for a server: the other side of a sleeper.
type application struct {
	*service
	link     *remote.Service
	python   *pybridge.Handler
	watches  bool // the server knows that the application wants to know of subscribers
	measures bool
}

// RunApplication is the life of such a process. It must be called on the main thread.
func RunApplication(p *plan.Plan, stderr io.Writer) (code int, err error) {
	memory.UseLittle()
	useProcessors()
	a := &application{service: &service{plan: p, stderr: stderr, host: &alone{}}}
	if a.link, err = remote.NewService(remote.Descriptor); err != nil {
		return 0, exit.NotStarted("%s is set, but no server has started this process", applicationVariable)
	}
	a.link.Hear, a.link.Answer = a.hear, a.answer
	// The server decides when this process ends; a signal to all of its group does not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := p.Find(); err != nil {
		return 0, exit.From(err)
	}
	a.log = logs.New(stderr, p.Conf.LogLevel, p.Conf.LoopDebug)
	if err := pybridge.KeepFromChildren(a.link); err != nil {
		return 0, exit.NotStarted("%v", err)
	}
	settings, err := a.load()
	if err == io.EOF {
		return a.app.Close(), nil
	}
	if err != nil {
		return 0, err
	}
	go a.endWithServer()
	if err := a.start(settings); err != nil {
		return 0, err
	}
	return a.run()
}

// load loads the application, describes it to the server, and returns the settings of that. io.EOF: there is no server any more.
func (a *application) load() (settings []byte, err error) {
	if a.app, err = a.plan.Load(a.report); err != nil {
		return nil, err
	}
	a.contents = &a.app.Contents
	if a.conf, err = a.plan.ReadScript(a.contents); err != nil {
		return nil, err
	}
	text, err := json.Marshal(a.contents)
	if err != nil {
		return nil, exit.NotStarted("cannot describe the loaded application: %v", err)
	}
	return a.link.Loaded(text)
}

// endWithServer ends the process if the server has died and the application does not end by itself.
func (a *application) endWithServer() {
	<-a.link.Gone()
	time.Sleep(a.conf.GracefulTimeout + applicationEnds)
	os.Exit(exit.Failed)
}

// start makes the application ready for requests.
func (a *application) start(text []byte) error {
	var settings applicationSettings
	if err := json.Unmarshal(text, &settings); err != nil {
		return exit.NotStarted("settings of the server: %v", err)
	}
	for _, path := range settings.ErrorLogs {
		if _, err := pybridge.AddErrorLog(pybridge.ErrorLog{Path: path}); err != nil {
			return exit.NotStarted("%v", err)
		}
	}
	a.served = settings.Served
	if err := a.enterSandbox(); err != nil {
		return err
	}
	if err := a.app.Startup(pybridge.AsyncConfig{Loop: a.conf.Loop, Lifespan: a.conf.Lifespan}); err != nil {
		return exit.NotStarted("%v", err)
	}
	run := a.runConfig()
	run.Threads, run.Timeout = a.conf.Threads, a.conf.Timeout
	run.Stamped = a.conf.ErrorLog != "-"
	run.Purge = func(pattern string) { a.link.Tell(tellPurge, []byte(pattern)) }
	run.Warn = func(line string) { a.link.Tell(tellWarning, []byte(line)) }
	run.Stuck = func(why string) { a.link.Tell(tellStuck, []byte(why)) }
	run.Join = func(t exchange.Ticket, group string) { a.link.Tell(tellJoin, memberText(t, group)) }
	run.Leave = func(t exchange.Ticket, group string) { a.link.Tell(tellLeave, memberText(t, group)) }
	run.Publish = a.publish
	var err error
	if a.python, err = a.app.Start(run); err != nil {
		return exit.NotStarted("%v", err)
	}
	return nil
}

// publish is pybridge.RunConfig.Publish.
func (a *application) publish(events []pybridge.Event) {
	var raw []byte
	for i := range events {
		raw = appendEvent(raw, &events[i])
	}
	a.link.Tell(tellEvents, raw)
}

// run answers requests until the server wants no more, ends Python, and returns the exit code.
func (a *application) run() (code int, err error) {
	limits := http1.Limits{RequestLine: a.conf.MaxLine, FieldLine: a.conf.MaxField, Head: maxHead, Fields: a.conf.MaxFields + 1}
	served, exited := make(chan error, 1), make(chan int, 1)
	if a.plan.IsInline() {
		go func() { exited <- a.app.Serve() }()
		go a.sayExit(exited)
		served <- a.link.Run(attentive{a.python, a}, limits)
	} else {
		go func() {
			served <- a.link.Run(attentive{a.python, a}, limits)
			a.app.Shutdown(0)
			a.app.Stop()
		}()
		exited <- a.app.Serve()
		a.sayExit(exited)
	}
	select {
	case err = <-served:
	case <-time.After(a.conf.GracefulTimeout + scriptGrace): // the script has called sys.exit, and the server does not end
	}
	if err != nil {
		return 0, exit.NotStarted("%v", err)
	}
	if a.plan.IsInline() {
		a.app.Shutdown(0)
		a.app.Stop()
	}
	if a.measures {
		a.link.Tell(tellCounted, []byte(asJSON(metrics.Lasting(a.python.Metrics()))))
	}
	code = a.app.Close()
	a.link.Close()
	return code, nil
}

// maxHead bounds a head that the server has taken already, and may have made larger: it need only be a bound.
const maxHead = 16 << 20

// sayExit tells the server that a signal handler of the script has called sys.exit.
func (a *application) sayExit(exited <-chan int) {
	if code := <-exited; code >= 0 {
		a.link.Tell(tellExit, []byte{byte(code)})
	}
}

// attentive is the handler of an application, which tells the server when the application wants to know of subscribers.
type attentive struct {
	*pybridge.Handler
	a *application
}

// Flush implements app.Handler.
func (h attentive) Flush() {
	if a := h.a; !a.watches && h.WatchesPresence() {
		a.watches = true
		a.link.Tell(tellWatches, nil)
	}
	h.Handler.Flush()
}

// hear is remote.Service.Hear.
func (a *application) hear(m remote.Message, data []byte, files []int) {
	switch m {
	case tellDealt:
		a.python.Dealt(readNumber(data))
	case tellCount:
		name, elsewhere, n := readCount(data)
		pybridge.CountSubscribers(name, elsewhere, n)
	case tellPresence:
		var e pybridge.PresenceEvent
		if json.Unmarshal(data, &e) == nil && !a.python.NotifyPresence(e) {
			a.link.Tell(tellWarning, []byte(slowPresence))
		}
	case tellForPython:
		if e, _, err := cutEvent(data); err == nil {
			a.python.TakeMessage(&e)
		}
	case tellMeasure:
		if !a.measures {
			a.measures = true
			a.python.Measure()
		}
	case tellStderr:
		if len(files) == 1 {
			_ = system.Replace(2, files[0]) // failing, it stays as it is
		}
	}
	for _, fd := range files {
		unix.Close(fd)
	}
}

// answer is remote.Service.Answer.
func (a *application) answer(text []byte) []byte {
	var q question
	if json.Unmarshal(text, &q) != nil {
		return nil
	}
	switch q.What {
	case askMetrics:
		return []byte(asJSON(a.python.Metrics()))
	case askActive:
		return []byte(asJSON(a.python.Active(q.For)))
	case askStack:
		var b strings.Builder
		_ = a.python.Stack(&b, q.For) // the text names the missing parts
		return []byte(b.String())
	case askProfile:
		ctx, cancel := context.WithTimeout(context.Background(), q.For+stackWait)
		defer cancel()
		stacks, err := a.python.Profile(ctx, q.For)
		if err != nil {
			return []byte(asJSON(profiled{Why: err.Error()}))
		}
		return []byte(asJSON(profiled{Stacks: stacks}))
	case askNotified:
		a.python.Notified(q.For)
	}
	return nil
}
