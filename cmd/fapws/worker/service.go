package worker

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/source/app"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/upload"
	"fapws/runtime/system"
)

type service struct {
	plan *plan.Plan

	conf     settings.Config
	log      *plan.Logger
	signals  *signals
	inline   bool
	server   *runtime.Server
	app      *pybridge.App                   // nil without Python in this process
	loader   atomic.Pointer[programs.Loader] // with --fork, where Python is; else nil
	uploads  atomic.Pointer[upload.Group]    // of the sites; nil before they exist
	lateLoad *lateLoad                       // of a worker that begins asleep; else nil
	// last use of the application other than by requests; nil before it has loaded
	lastUse  atomic.Pointer[time.Time]
	contents *pybridge.Contents // from this process or its loader; nil without an application
	built    *plan.Built
	early    *plan.Built // serves while the applications load; nil if unused
	complete atomic.Bool
	access   *logfile.AccessLog
	logs     plan.LogFiles
	memory   confine.Trimmer
	programs plan.Programs
	instance *Instance
	parent   *Parent       // nil without a supervisor
	check    *sandboxCheck // nil unless the command is "check --sandbox"
	alone    alone
	relay    *relay
	handler  *pybridge.Handler // nil without Python or with --fork
	stops    atomic.Bool       // the readiness of --health is over
	over     atomic.Bool       // sending has ended

	complained logfile.Seldom // see complain

	deadline time.Time // of the graceful timeout; zero before stop
	tls      certificates.Server

	// certificate of the machine's own authority in PEM; nil if none
	authority []byte

	want     atomic.Pointer[certificates.Want] // certificates of tls; nil without HTTPS
	measured sync.Mutex                        // of measures
	measures bool
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
	s.log.TakeLibraries()
	s.instance.LogTo(s.log.Log)
	s.signals = newSignals(s)
	go s.signals.watch()
	if p := s.parent; p != nil && (p.Role == pool.Asleep || p.Role == pool.PageOnly) {
		if err := p.recall(); err != nil {
			return 0, err
		}
	}
	if err := s.plan.SetVariables(); err != nil {
		return 0, err
	}
	useProcessors()
	switch {
	case s.parent != nil:
		go s.parent.listen()
	case s.check == nil:
		if err := s.listenEarly(); err != nil {
			return 0, err
		}
		defer s.alone.bound.Drop()
	}
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
		code = s.reportError(err) // now, because closing may take its time
	}
	return s.finish(code), nil
}

// finish ends Python, the loader, the programs and the logs, and returns the exit code.
func (s *service) finish(code int) int {
	s.instance.Withdraw()
	process.ExitAfterClosingTime(s.deadline, code, s.warn)
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
			return s.reportError(err)
		}, s.warn)
	})
	if err == nil {
		s.contents = &s.app.Contents
	}
	return err
}

// exit ends the process at once, after writing the remaining lines of the logs.
func (s *service) exit(code int) {
	s.alone.bound.Drop()
	s.logs.Close()
	s.instance.Exit(code)
}

// level is that of log lines about an order. The supervisor logs the same.
func (s *service) level() logfile.Level {
	if s.parent != nil || s.check != nil {
		return logfile.Debug
	}
	return logfile.Info
}

// reopenLog reopens log files after they were renamed. files may contain the opened error log.
func (s *service) reopenLog(files ...*os.File) {
	s.log.Log(s.level(), "reopening the log files")
	s.log.Follow(files...)
	s.followErrors()
	s.logs.Reopen()
}

func (s *service) reportError(err error) (code int) {
	s.parent.Failing(err)
	return s.log.Report(err)
}

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
	s.log.Configure(&s.conf, s.conf.Server.Debug)
	system.Distrust(s.plan.Changeable(&s.conf, uploads(s.contents)...))
	// A reload or the script may have changed settings. Only the script has PATHS.
	if err := s.plan.CheckOutside(&s.conf, s.contents); err != nil {
		return err
	}
	if err := s.openLogs(&s.programs); err != nil {
		return err
	}
	loader := s.loader.Load()
	if loader != nil {
		s.useLoader(loader)
	}
	parts := s.parts(&s.programs)
	parts.Contents, parts.Loader = s.contents, loader
	if s.built, err = s.plan.Build(&s.conf, parts); err != nil {
		return err
	}
	if err := s.instance.WritePid(); err != nil {
		return err
	}
	s.server.Configure(s.config())
	var listeners []*conn.Listener
	switch {
	case s.parent != nil:
		err = s.parent.confine()
	case s.check != nil:
		err = s.check.confine()
	default:
		listeners, err = s.listen()
	}
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
	s.used()
	s.complete.Store(true)
	s.measureIfShown()
	s.signals.serve()
	var guest app.Interpreter
	if s.handler != nil {
		guest = s.handler
	}
	checks := s.parent != nil && s.parent.checksFirst() // then clients wait until it has
	if s.parent != nil && !checks {
		s.parent.started()
	}
	if err := s.use(listeners, guest); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	listeners = nil // they are the server's
	switch {
	case s.parent != nil:
		if !checks {
			s.parent.served()
		}
		s.parent.joinEarly()
		s.memory.Started()
		s.parent.serving()
	case s.check != nil:
		go s.check.run()
	default:
		if err := s.openControl(); err != nil {
			return err
		}
		s.memory.Started()
		s.serving()
	}
	return nil
}

func (s *service) openLogs(p *plan.Programs) (err error) {
	s.logs.Configure(&s.conf, s.log)
	if s.access, err = s.logs.Access("", ""); err != nil {
		return process.ExitNotStarted("cannot write the %v", err)
	}
	p.Gate = programs.NewGate(s.conf.MaxCGI, programs.DefaultWaiting)
	p.Log, p.Sends = s.logs.Client, plan.Sends(&s.conf)
	return s.useCertificates()
}

// parts returns the input of sites, without the applications.
func (s *service) parts(p *plan.Programs) plan.Parts {
	// While the applications load, other sites are served. They share the resources of the run with the final sites.
	run := strconv.FormatInt(s.alone.opened.UnixNano(), 36)
	if s.parent != nil {
		run = s.parent.Epoch
	}
	return plan.Parts{
		Programs:  p,
		Logs:      &s.logs,
		Log:       s.log.Log,
		Authority: s.authority,
		Token:     s.token(),
		Run:       run,
		Stops:     &s.stops,
		Stalled:   s.isStalled,
		Status:    s.statusPage(),
		Uploads:   s.newUploads(),
	}
}

// startAsync starts what ASGI applications and async handlers need, if there are
// any, and waits for the startup of the applications.
func (s *service) startAsync() (err error) {
	if s.app == nil {
		return nil
	}
	ended := make(chan struct{})
	var stopped <-chan bool
	if s.lateLoad == nil { // else obeyOrders waits for orders already
		stopped = s.stopStartup(ended)
	}
	s.whileServing(func() {
		err = s.app.Startup(pybridge.AsyncConfig{Loop: s.conf.Loop, Lifespan: s.conf.Lifespan})
	})
	close(ended)
	switch {
	case stopped != nil && <-stopped:
		return process.ExitSilently(process.OK)
	case err != nil:
		return process.ExitNotStarted("%v", err)
	}
	return nil
}

func (s *service) startPython() (*pybridge.Handler, error) {
	if s.app == nil {
		return nil, nil
	}
	run := s.runConfig()
	run.Threads = s.conf.Threads
	run.Purge, run.Publish = s.purge, s.publish
	run.ChangeGroup = s.server.ChangeGroup
	run.Timeout = s.conf.Server.Timeout
	if s.parent != nil {
		run.Stuck = s.parent.onStuck
	}
	var handler *pybridge.Handler
	var err error
	var lines []string
	s.onPython(func() {
		if lines, err = s.app.Warnings(run.Threads); err == nil {
			handler, err = s.app.Start(run)
		}
	})
	if err != nil {
		return nil, process.ExitNotStarted("%v", err)
	}
	if line := handler.Warning(); line != "" {
		lines = append(lines, line)
	}
	for _, line := range lines {
		s.warn(line)
	}
	return handler, nil
}

// runConfig returns the settings of handlers in any process.
func (s *service) runConfig() pybridge.RunConfig {
	return pybridge.RunConfig{
		Processors:   processors(),
		Queue:        s.conf.MaxQueue,
		Debug:        s.conf.Debug,
		DebugLocal:   s.conf.Dev && !s.conf.DevAnywhere,
		Stamped:      s.log.Redirected(),
		Multiprocess: Workers(&s.conf) > 1,
		Software:     process.Software(),
		SendFile:     len(s.conf.Server.SendfileRoots) > 0,
		Accel:        len(s.conf.Server.AccelRoots) > 0,
		MaxEvent:     s.conf.Server.Channels.MaxEvent,
	}
}

func (s *service) warn(line string) { s.log.Log(logfile.Warning, line) }

// buildEarly builds the sites that serve clients while the applications load, with everything except the applications.
// Requests for applications wait (exchange.Mount.Pending). If a script may change settings, or before a sandbox is
// entered, clients wait in the listen queue of the kernel instead. A worker that is asleep knows the settings, but
// before it enters a sandbox or the directory of --chroot it answers only health checks: another program may have
// prepared files that it could not read itself. With pool.PageOnly, all requests are refused.
func (s *service) buildEarly() error {
	answers := len(s.alone.bound.Sockets()) > 0 // the application is not needed to know where clients connect
	if p := s.parent; p != nil {
		answers = p.Role != "" && p.root == ""
	}
	confined := s.conf.Sandboxed() || !answers
	asleep := s.lateLoad != nil
	if asleep && s.lateLoad.failed.Load() {
		s.early = &plan.Built{Sites: []exchange.Site{{Table: []exchange.Mount{{Prefix: "/", Pending: true}}}}}
		return s.useCertificates()
	}
	checks := s.parent != nil && s.parent.checksFirst()
	if s.plan.FirstApp() == nil || !asleep && (confined || checks || !s.plan.IsSettled()) {
		return nil
	}
	early := &plan.Programs{}
	err := s.openLogs(early)
	switch {
	case err != nil:
		return err
	case asleep && confined:
		s.early = plan.Waiting(&s.conf, &s.stops)
		return nil
	}
	parts := s.parts(early)
	parts.Pending, parts.Asleep = true, asleep
	s.early, err = s.plan.Build(&s.conf, parts)
	return err
}

func (s *service) serveEarly() error {
	if s.early == nil {
		return nil
	}
	s.measureIfShown()
	var listeners []*conn.Listener
	if s.parent == nil {
		listeners = s.earlyListeners()
	}
	if err := s.server.Serve(listeners, s.early.Sites, nil); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	if s.parent != nil {
		s.parent.served()
	}
	return nil
}

// use replaces the sites of buildEarly by the sites with the applications.
func (s *service) use(listeners []*conn.Listener, h app.Interpreter) error {
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
