package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/otel"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/upload"
	"fapws/runtime/system"
)

type service struct {
	plan *plan.Plan

	conf     settings.Config
	log      *plan.Logger
	opened   time.Time
	signals  *signals
	server   *runtime.Server
	role     role
	python   python
	https    https
	relay    *relay
	uploads  atomic.Pointer[upload.Group] // the uploads of all sites; nil before the sites exist
	late     *lateLoad                    // nil unless the worker was started asleep
	startup  atomic.Pointer[startup]      // startup of the application; nil before the startup begins
	built    *plan.Built
	early    *plan.Built // sites that serve while the applications load, or nil
	access   *logfile.AccessLog
	spans    *otel.Exporter // nil if no spans are sent
	logs     plan.LogFiles
	memory   confine.Trimmer
	programs plan.Programs
	instance *Instance
	shown    atomic.Pointer[Shown] // nil in a worker; otherwise nil until the addresses are known
	stops    atomic.Bool           // true makes the path of --health report that the server is not ready
	deadline time.Time             // end of the graceful timeout; zero before the server stops

	measuring sync.Mutex  // held during measure
	measures  atomic.Bool // requests are counted
	measured  struct {    // set before measures
		began   time.Time
		earlier atomic.Int64 // number of requests before began
	}
	traits
}

func newService(p *plan.Plan, instance *Instance, stderr io.Writer, r role) *service {
	s := &service{plan: p, conf: p.Conf, log: plan.NewLogger(stderr, &p.Conf), opened: time.Now(),
		role: r, instance: instance}
	s.https.log = s.log.Log
	pybridge.KeepFailures(s.log.KeepFailure)
	here := func(f func()) { f() }
	s.python.do, s.python.doBeside = here, here
	s.signals = &signals{caught: make(chan os.Signal, 8), registered: make(chan struct{}), served: make(chan struct{}),
		orders: make(chan shutdownRequest, 8), log: s.log.Log, exit: s.exit, reopen: func() { s.reopenLog() }}
	s.relay = newRelay(s)
	return s
}

// run runs a service and returns the exit code, and must be called on the main thread.
func (s *service) run(life func() (code int, err error)) (code int, err error) {
	if err := s.plan.Find(); err != nil {
		return 0, process.ExitFrom(err)
	}
	s.memory.TrimHeap = pybridge.TrimHeap
	s.python.inline = s.plan.IsInline()
	s.log.TakeLibraries()
	s.instance.LogTo(s.log.Log)
	go s.signals.watch()
	if err := s.plan.SetVariables(); err != nil {
		return 0, err
	}
	useProcessors()
	early, err := s.role.begin()
	if err != nil {
		return 0, err
	}
	if s.spans, err = plan.OpenSpans(&s.conf, nil, s.warn); err != nil {
		return 0, err
	}
	if err := s.buildEarly(early); err != nil {
		return 0, err
	}
	// Create the event loop before the script is loaded, because an inline script is loaded on the thread of the event
	// loop. Any script could otherwise close the descriptors of the event loop.
	if s.server, err = runtime.New(s.config()); err != nil {
		return 0, process.ExitNotStarted("%v", err)
	}
	s.python.server = s.server
	if s.python.inline {
		s.python.do, s.python.doBeside = s.server.Do, s.server.DoBeside
	}
	if s.early != nil {
		s.measureIfShown()
		if err := s.server.Serve(nil, s.early.Sites, nil); err != nil {
			return 0, process.ExitNotStarted("%v", err)
		}
		s.role.serveEarly()
	}
	s.signals.begun()
	return life()
}

func (s *service) loadAndServe() (code int, err error) {
	err = s.load(func(err error) int {
		s.giveUp()
		return s.reportError(err)
	})
	if err != nil {
		s.giveUp()
		return 0, err
	}
	if err = s.start(); err == nil {
		code = s.serve(s.obeyOrders())
		if s.last != nil {
			code = s.last(code)
		}
	} else {
		s.giveUp()
		code = s.reportError(err) // report the error now, because closing may take some time
	}
	return s.finish(code), nil
}

func (s *service) finish(code int) int {
	s.withdraw()
	late := process.ExitAfterClosingTime(s.deadline, func() { s.depart(code) }, s.warn)
	code = s.python.close(code, s.deadline)
	late.Stop()
	s.spans.Close(s.deadline)
	if s.built != nil {
		s.built.Close()
	}
	s.logs.Close()
	return code
}

// If loading in this process fails, load calls the function report, which logs the error and returns the exit code.
func (s *service) load(report func(error) int) (err error) {
	switch {
	case s.plan.FirstApp() == nil:
		return nil
	case s.conf.Fork:
		return s.python.openLoader(s)
	}
	s.python.doBeside(func() { s.python.app, err = s.plan.Load(s.log.Look(), report, s.warn) })
	if err == nil {
		s.python.contents = &s.python.app.Contents
	}
	return err
}

func (s *service) exit(code int) {
	s.logs.Close()
	s.instance.Exit(code)
}

// reopenLog reopens the log files; files contains the error log if the supervisor has already opened it.
func (s *service) reopenLog(files ...*os.File) {
	s.log.Log(s.level, "reopening the log files")
	s.log.Follow(files...)
	s.python.followErrors()
	s.logs.Reopen()
}

func (s *service) reportError(err error) (code int) {
	if ended, ok := errors.AsType[*pybridge.ExitError](err); ok && ended.Stopped {
		s.log.Log(logfile.Info, stoppedLoading)
		return ended.Code
	}
	tellFailing(s.role, err)
	return s.log.Report(err)
}

func (s *service) start() (err error) {
	if s.python.contents != nil {
		if s.conf, err = s.plan.ReadScript(s.python.contents); err != nil {
			return err
		}
	}
	if s.spans, err = plan.OpenSpans(&s.conf, s.spans, s.warn); err != nil { // the script may have set OTEL
		return err
	}
	s.log.Configure(&s.conf, s.conf.Server.Debug)
	system.Distrust(s.plan.Changeable(&s.conf, Uploads(s.python.contents)...))
	// repeat this check, because the script may have changed settings or added PATHS since the first check
	if err := s.plan.CheckOutside(&s.conf, s.python.contents); err != nil {
		return err
	}
	if err := s.openLogs(&s.programs); err != nil {
		return err
	}
	s.python.useLoader(&s.conf, &s.logs)
	parts := s.parts(&s.programs)
	parts.Contents, parts.Loader = s.python.contents, s.python.loader.Load()
	if s.built, err = s.plan.Build(&s.conf, parts); err != nil {
		return err
	}
	if err := s.instance.WritePid(); err != nil {
		return s.plan.Settings.Located("pid", err)
	}
	s.server.Configure(s.config())
	listeners, err := s.role.enter()
	if err != nil {
		closeAll(listeners)
		return err
	}
	run := s.runConfig()
	run.Threads, run.Timeout, run.Stuck = s.conf.Threads, s.conf.Server.Timeout, s.stuck
	run.Purge, run.Publish, run.ChangeGroup = s.relay.purgeAll, s.relay.publishFrom, s.server.ChangeGroup
	d := s.server.Dispatcher()
	run.Then = pybridge.Then{SendFiles: d.SendFiles, RunProgram: d.RunProgram, Subscribe: d.Subscribe,
		Accept: s.server.Sockets().Accept}
	if err = s.python.start(run, s.warnAtStart); err != nil {
		closeAll(listeners)
		return err
	}
	if line := SpoolWarning(&s.conf); line != "" {
		s.warnAtStart(line)
	}
	if line := s.plan.NeedsRestart; line != "" {
		s.warnAtStart(line)
	}
	s.python.used()
	s.python.become(appRunning)
	s.measureIfShown()
	s.signals.serve()
	return s.role.serve(listeners, s.install)
}

func (s *service) openLogs(p *plan.Programs) (err error) {
	s.logs.Configure(&s.conf, s.log)
	if s.access, err = s.logs.Access("", ""); err != nil {
		return s.plan.Settings.Located("access-log", process.ExitNotStarted("cannot write the %v", err))
	}
	p.Places = programs.NewPlaces(s.conf.MaxCGI, programs.DefaultWaiting)
	p.Log, p.Sends = s.logs.Client, s.sends()
	return s.https.use(s.plan.Certificates(&s.conf))
}

// sends returns the functions with which a responder hands the rest of a response to the server, for example to send a
// file. sends can be called before the server exists.
func (s *service) sends() (sends backend.Sends) {
	files := func(x *exchange.Exchange, p *exchange.Part, r *exchange.Request, text []byte) exchange.ThenOutcome {
		return s.server.Dispatcher().SendFiles(x, p, r, text)
	}
	sends.Subscribe = func(x *exchange.Exchange, p *exchange.Part, r *exchange.Request, text []byte) exchange.ThenOutcome {
		return s.server.Dispatcher().Subscribe(x, p, r, text)
	}
	if len(s.conf.Server.SendfileRoots) > 0 {
		sends.File = files
	}
	if len(s.conf.Server.AccelRoots) > 0 {
		sends.Accel = files
	}
	return sends
}

func (s *service) parts(p *plan.Programs) plan.Parts {
	// The sites that serve while the applications load share these resources with the final sites.
	group := &upload.Group{Publish: s.relay.announce, Others: s.otherUploads}
	s.uploads.Store(group)
	return plan.Parts{
		Programs:  p,
		Quiet:     s.quiet,
		Logs:      &s.logs,
		Log:       s.log.Log,
		Authority: s.https.authority,
		Token:     s.https.token(),
		Run:       s.runID,
		Stops:     &s.stops,
		Stalled:   s.python.isStalled,
		Status:    s.statusPage(),
		Uploads:   group,
		Rates:     s.rates,
		Spans:     s.spans,
		Refresh:   s.refresh,
		Cached: func(rule *cache.Compiled, source exchange.Source) exchange.Source {
			return s.server.Cached(rule, source)
		},
	}
}

func (s *service) startAsync() (err error) {
	app := s.python.app
	if app == nil {
		return nil
	}
	u := &startup{ended: make(chan struct{})}
	s.startup.Store(u)
	stopped := s.stopStartup(u.ended)
	slow := time.AfterFunc(plan.SlowLoad, func() {
		s.warn(fmt.Sprintf("the startup of the lifespan has not ended after %v; until then, requests wait", plan.SlowLoad))
	})
	s.python.doBeside(func() {
		err = app.Startup(s.conf.Lifespan)
	})
	close(u.ended)
	slow.Stop()
	switch {
	case u.canceled.Load():
		select {} // the function endAsleep ends the process during this wait
	case <-stopped:
		return process.ExitSilently(process.OK)
	case err != nil:
		return process.ExitNotStarted("%v", err)
	}
	return nil
}

func (s *service) runConfig() pybridge.RunConfig {
	return pybridge.RunConfig{
		Processors:   settings.Processors(),
		Queue:        s.conf.MaxQueue,
		Debug:        s.conf.Debug,
		DebugLocal:   s.conf.Dev && !s.conf.DevAnywhere,
		Multiprocess: s.conf.WorkerCount() > 1,
		Software:     process.Software(),
		SendFile:     len(s.conf.Server.SendfileRoots) > 0,
		Accel:        len(s.conf.Server.AccelRoots) > 0,
		MaxEvent:     s.conf.Server.Channels.MaxEvent,
	}
}

func (s *service) warn(line string) { s.log.Log(logfile.Warning, line) }

// logAsWorker logs a line that begins with "worker N".
func (s *service) logAsWorker(level logfile.Level, format string, args ...any) {
	s.log.Log(level, fmt.Sprintf("worker %d", os.Getpid())+fmt.Sprintf(format, args...))
}

func (s *service) warnAtStart(line string) {
	if !s.quiet {
		s.warn(line)
	}
}

// buildEarly builds sites that serve clients while the applications load, if the role allows early responses. The sites
// contain everything except the applications; requests for applications wait (exchange.Mount.Pending). If the script
// may change settings, or if the process will enter a sandbox, buildEarly builds no sites, and clients wait in the
// listen queue of the kernel. A worker that is asleep already knows the settings. If such a worker will enter a sandbox
// or the directory from --chroot, the sites answer only health checks. Otherwise a symbolic link that another program
// has prepared could make the sites serve files outside the sandbox. With pool.PageOnly, all requests are refused.
func (s *service) buildEarly(early bool) error {
	open, asleep := early && !s.conf.Sandboxed(), s.python.asleep()
	switch {
	case s.python.is(appFailed):
		s.early = &plan.Built{Sites: []exchange.Site{{Table: []exchange.Mount{{Prefix: "/", Pending: true}}}}}
		return s.https.use(s.plan.Certificates(&s.conf))
	case s.plan.FirstApp() == nil || !asleep && (!open || !s.plan.KnowsSettings()):
		return nil
	}
	p := &plan.Programs{}
	err := s.openLogs(p)
	switch {
	case err != nil:
		return err
	case !open:
		s.early = plan.Waiting(&s.conf, &s.stops)
		return nil
	}
	parts := s.parts(p)
	parts.Pending, parts.Asleep = true, asleep
	s.early, err = s.plan.Build(&s.conf, parts)
	return err
}

// install makes the server use the sites with the applications, instead of the sites from buildEarly if there are any.
func (s *service) install() error {
	var guest app.Interpreter
	if s.python.handler != nil {
		guest = s.python.handler
	}
	var unused func()
	if s.early != nil {
		unused = s.early.Close
	}
	if err := s.server.Replace(s.built.Sites, guest, unused); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	return nil
}

// acceptAll makes the server accept connections on the listeners, which the server then owns.
func (s *service) acceptAll(listeners []*conn.Listener) {
	for _, ln := range listeners {
		s.server.Accept(ln)
	}
}

func (s *service) show(listeners []*conn.Listener) {
	s.shown.Store(&Shown{s.settled(), BannerOf(listeners)})
}

func (s *service) settled() pool.Settled {
	contents := s.python.contents
	return pool.Settled{
		Config:   s.conf,
		Protocol: pool.Protocol,
		BindFrom: s.plan.Settings.Source("bind"),
		Debug:    s.conf.Server.Debug,
		App:      s.plan.Label(&s.conf),
		Python:   s.plan.Python(),
		Served:   s.plan.DescribeServed(contents, &s.conf),
		Open:     s.plan.IsOpen(&s.conf, contents),
		Script:   remembered(&s.conf, contents),
	}
}

func (s *service) giveUp() {
	s.server.StopAccepting()
	s.server.GiveUp()
}
