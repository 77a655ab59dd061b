package worker

import (
	"io"
	"os"
	"sync"
	"sync/atomic"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/source/app"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/upload"
	"fapws/runtime/system"
)

// service is one run of a server, from the script to the exit code.
type service struct {
	plan   *plan.Plan
	stderr io.Writer

	conf     settings.Config
	log      *plan.Logger
	signals  *signals
	inline   bool
	server   *runtime.Server
	app      *pybridge.App                   // nil: no Python in this process
	loader   atomic.Pointer[programs.Loader] // with --fork, where Python is; else nil
	uploads  atomic.Pointer[upload.Group]    // of the sites; nil: there are none yet
	lateLoad *lateLoad                       // of a worker that begins asleep; else nil
	uses     uses                            // with --idle-stop
	contents *pybridge.Contents              // loaded here or there; nil: no application
	built    *plan.Built
	early    *plan.Built // answers while the applications load; nil: nothing does
	complete atomic.Bool // built and handler are set
	access   *logfile.AccessLog
	logs     plan.LogFiles
	errors   plan.ErrorLog
	memory   confine.Trimmer
	programs plan.Programs
	instance *Instance
	around   surroundings
	relay    relay
	handler  *pybridge.Handler // nil: no Python, or with --fork
	stops    atomic.Bool       // the readiness of --health is over
	over     atomic.Bool       // nothing is sent any more
	tls      certificates.Server
	secret   struct {
		once sync.Once
		text string // see secretVariable
	}

	authority []byte // certificate of the machine's own authority, PEM; nil without one

	mu       sync.Mutex
	want     *certificates.Want // the certificates that tls has; nil: no HTTPS
	measured sync.Mutex         // of measures
	measures bool               // requests are counted
	tail     plan.Tail          // for the status page
}

// run loads, serves until told to stop, and returns the exit code. It runs on
// the main thread.
func (s *service) run() (code int, err error) {
	go memoryLimit() // reads several files, and is needed soon
	s.conf = s.plan.Conf
	if err := s.plan.Find(); err != nil {
		return 0, process.ExitFrom(err)
	}
	s.memory.TrimHeap, s.memory.Small = pybridge.TrimHeap, s.conf.IdleStop > 0
	s.inline = s.plan.IsInline()
	s.log = s.errors.Logger(s.stderr, &s.conf)
	s.log.TakeLibraries()
	s.instance.LogTo(s.log.Log)
	s.signals = watchSignals(s.log.Log, s.exit, func() { s.reopenLog() }, s.around.replacement(), s.around.rereading())
	if p, is := s.around.(*Parent); is && p.sleeps {
		if err := p.recall(); err != nil {
			return 0, err
		}
	}
	if err := s.plan.SetVariables(); err != nil {
		return 0, err
	}
	useProcessors()
	if err := s.around.begin(); err != nil {
		return 0, err
	}
	defer s.around.abandon()
	if err := s.buildEarly(); err != nil {
		return 0, err
	}
	// Before the script is loaded: inline, that is done on the loop, and in any case the loop's
	// descriptors are then among those that the script cannot close.
	if s.server, err = runtime.New(s.config()); err != nil {
		return 0, process.ExitNotStarted("%v", err)
	}
	if err := s.serveEarly(); err != nil {
		return 0, err
	}
	s.signals.begun()
	if s.lateLoad != nil {
		return s.lateLoad.run()
	}
	if err := s.load(); err != nil {
		s.giveUp()
		return 0, err
	}
	if err = s.start(); err == nil {
		code = s.serve(s.obeyOrders())
	} else {
		s.giveUp()
		code = s.report(err) // now, because closing may take its time
	}
	return s.finish(code), nil
}

// finish ends Python, the loader, the programs and the logs, and returns the exit code.
func (s *service) finish(code int) int {
	s.instance.Withdraw()
	process.ExitAfterClosingTime(code, func(line string) { s.log.Log(logfile.Warning, line) })
	if s.app != nil {
		s.onPython(func() { code = max(code, s.app.Close()) })
	}
	if loader := s.loader.Load(); loader != nil {
		loader.Close(loaderEnds)
	}
	if s.built != nil {
		s.built.Close()
	}
	s.logs.Close()
	return code
}

// load loads the applications, if there are any.
func (s *service) load() (err error) {
	switch {
	case s.plan.FirstApp() == nil:
		return nil
	case s.conf.Fork:
		return s.openLoader()
	}
	s.whileServing(func() {
		s.app, err = s.plan.Load(func(err error) int {
			if s.lateLoad != nil {
				return s.lateLoad.fail(err)
			}
			s.giveUp()
			return s.report(err)
		})
	})
	if err == nil {
		s.contents = &s.app.Contents
	}
	return err
}

// exit ends the process at once, after writing the remaining lines of the logs.
func (s *service) exit(code int) {
	s.around.abandon()
	s.logs.Close()
	s.instance.Exit(code)
}

// reopenLog is for log files that were renamed. files may have the error log, open already.
func (s *service) reopenLog(files ...*os.File) {
	s.log.Log(s.around.level(), "reopening the log files")
	s.errors.Follow(files...)
	s.followErrors()
	s.logs.Reopen()
}

// report writes why the process ends.
func (s *service) report(err error) (code int) {
	s.around.Failing(err)
	return s.errors.Report(s.stderr, err)
}

// onPython runs f on Python's main thread.
func (s *service) onPython(f func()) {
	if s.inline {
		s.server.Do(f)
		return
	}
	f()
}

// whileServing is onPython for an f that takes long, before handlers run.
func (s *service) whileServing(f func()) {
	if s.inline {
		s.server.DoBeside(f)
		return
	}
	f()
}

// start does the work between a script that was run and requests that
// are answered.
func (s *service) start() (err error) {
	if s.contents != nil {
		if s.conf, err = s.plan.ReadScript(s.contents); err != nil {
			return err
		}
	}
	s.log.SetLevel(s.conf.LogLevel, s.conf.Server.Debug)
	system.Distrust(s.plan.Changeable(&s.conf, uploads(s.contents)...))
	if err := s.plan.CheckOutside(&s.conf, s.contents); err != nil { // a reload or the script may have changed settings, and only the script has PATHS
		return err
	}
	s.logs.Configure(&s.conf, s.log)
	if s.access, err = s.logs.Access("", ""); err != nil {
		return process.ExitNotStarted("cannot write the %v", err)
	}
	s.programs.Gate = programs.NewGate(s.conf.MaxCGI, programs.DefaultWaiting)
	s.programs.Log, s.programs.Sends = s.logs.Client, plan.Sends(&s.conf)
	if err := s.useCertificates(); err != nil {
		return err
	}
	loader := s.loader.Load()
	if loader != nil {
		s.useLoader(loader)
	}
	parts := plan.Parts{Contents: s.contents, Loader: loader, Programs: &s.programs, Logs: &s.logs, Log: s.log.Log, Authority: s.authority, Token: s.token(), Run: s.around.run(), Stops: &s.stops, Status: s.statusPage(), Uploads: s.newUploads()}
	if s.built, err = s.plan.Build(&s.conf, parts); err != nil {
		return err
	}
	if err := s.instance.WritePid(); err != nil {
		return err
	}
	s.server.Configure(s.config())
	listeners, err := s.around.open()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			closeAll(listeners)
		}
	}()
	if s.handler, err = s.startPython(); err != nil {
		return err
	}
	s.uses.begin()
	s.complete.Store(true)
	if s.conf.Status != "" || s.around.countsRequests() {
		s.measure()
	}
	addrs := BannerOf(listeners)
	s.signals.serve()
	var guest app.Handler
	if s.handler != nil {
		guest = s.handler
	}
	if err := s.use(listeners, guest); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	listeners = nil // they are the server's
	s.around.served()
	if err := s.around.control(); err != nil {
		return err
	}
	s.memory.Started()
	s.around.serving(addrs)
	return nil
}

// startAsync starts what ASGI applications and async handlers need, if there are
// any, and waits for the startup of the applications.
func (s *service) startAsync() (err error) {
	if s.app == nil {
		return nil
	}
	s.whileServing(func() {
		err = s.app.Startup(pybridge.AsyncConfig{Loop: s.conf.Loop, Lifespan: s.conf.Lifespan})
	})
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	return nil
}

// startPython makes Python ready to run handlers; without an application it
// returns nil.
func (s *service) startPython() (*pybridge.Handler, error) {
	if s.app == nil {
		return nil, nil
	}
	run := s.runConfig()
	run.Threads = s.conf.Threads
	run.Purge, run.Publish = s.purge, s.publish
	run.Join, run.Leave = s.server.JoinGroup, s.server.LeaveGroup
	run.Timeout = s.conf.Server.Timeout
	s.around.configurePython(&run)
	var handler *pybridge.Handler
	var err error
	s.onPython(func() { handler, err = s.app.Start(run) })
	if err != nil {
		return nil, process.ExitNotStarted("%v", err)
	}
	if line := handler.Warning(); line != "" {
		s.warn(line)
	}
	return handler, nil
}

// runConfig returns the settings of handlers, wherever they run.
func (s *service) runConfig() pybridge.RunConfig {
	return pybridge.RunConfig{
		Processors:   Processors(),
		Queue:        s.conf.MaxQueue,
		Debug:        s.conf.Debug,
		DebugLocal:   s.conf.Dev && !s.conf.DevAnywhere,
		Stamped:      s.errors.Redirected(),
		Multiprocess: severalWorkers(s.conf.Workers),
		Software:     process.Software(),
		SendFile:     len(s.conf.Server.SendfileRoots) > 0,
		Accel:        len(s.conf.Server.AccelRoots) > 0,
		MaxEvent:     s.conf.Server.Channels.MaxEvent,
	}
}

// warn writes a line to the error log.
func (s *service) warn(line string) { s.log.Log(logfile.Warning, line) }

// severalWorkers tells whether more than one process serves, when the setting
// workers is n.
func severalWorkers(n int) bool { return n > 1 || n == 0 && Processors() > 1 }

// buildEarly makes the sites that answer clients while the applications load, with all that the configuration has beside them. Requests
// for the applications wait (sites.Mount.Pending). Where a script may change settings, and before a sandbox is entered, clients wait in
// the queue of the kernel instead. A worker that is asleep knows the settings; before a sandbox or the directory of --chroot is entered it
// answers health checks only: another program may have changed files for clients to get that it could not read itself.
func (s *service) buildEarly() error {
	confined := s.conf.Sandbox != settings.SandboxModes[0] || !s.around.answersEarly()
	asleep := s.lateLoad != nil
	if s.plan.FirstApp() == nil || !asleep && (confined || !s.plan.IsSettled()) {
		return nil
	}
	s.logs.Configure(&s.conf, s.log)
	var err error
	if s.access, err = s.logs.Access("", ""); err != nil {
		return process.ExitNotStarted("cannot write the %v", err)
	}
	if err := s.useCertificates(); err != nil {
		return err
	}
	if asleep && confined {
		s.early, err = plan.Waiting(&s.conf, &s.stops)
		return err
	}
	programs := &plan.Programs{Gate: programs.NewGate(s.conf.MaxCGI, programs.DefaultWaiting), Log: s.logs.Client, Sends: plan.Sends(&s.conf)}
	parts := plan.Parts{Pending: true, Asleep: asleep, Programs: programs, Logs: &s.logs, Log: s.log.Log, Authority: s.authority, Token: s.token(), Run: s.around.run(), Stops: &s.stops, Status: s.statusPage(), Uploads: s.newUploads()}
	s.early, err = s.plan.Build(&s.conf, parts)
	return err
}

// serveEarly has them answer.
func (s *service) serveEarly() error {
	if s.early == nil {
		return nil
	}
	if s.conf.Status != "" || s.around.countsRequests() {
		s.measure()
	}
	if err := s.server.Serve(s.around.early(), s.early.Sites, nil); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	s.around.served()
	return nil
}

// use has the sites with the applications answer on the listeners.
func (s *service) use(listeners []*conn.Listener, h app.Handler) error {
	if s.early == nil {
		return s.server.Serve(listeners, s.built.Sites, h)
	}
	if err := s.server.Replace(s.built.Sites, h, s.early.Close); err != nil {
		return err
	}
	for _, ln := range listeners {
		s.server.Accept(ln)
	}
	return nil
}

// giveUp ends accepting, and answers the clients that wait for an application that has failed to load.
func (s *service) giveUp() {
	s.server.StopAccepting()
	s.server.GiveUp()
}
