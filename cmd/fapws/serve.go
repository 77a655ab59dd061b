package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/accesslog"
)

// service is one run of a server, from the script to the exit code.
type service struct {
	cmd    *settings.Command
	set    *settings.Settings
	stderr io.Writer

	conf    settings.Config
	log     *logger
	signals *signals
	inline  bool
	server  *runtime.Server
	app     *pybridge.App
	access  *accesslog.Log
	memory  thrift
	front   *front
	parent  *parent // of a worker, else nil
}

// run loads, serves until told to stop, and returns the exit code. It runs on
// the main thread.
func (s *service) run() (code int, err error) {
	if s.conf, err = s.set.Config(); err != nil {
		return 0, usage(err)
	}
	found, err := findApplication(s.cmd.Script, s.conf)
	if err != nil {
		return 0, err
	}
	s.inline = isInline(s.set, found.source)
	s.log = newLogger(s.stderr, s.conf.LogLevel, s.conf.LoopDebug)
	s.front.log = s.log.log
	var replace func()
	if s.parent != nil {
		replace = s.parent.toldToEnd
	}
	s.signals = watchSignals(s.log.log, s.front.exit, s.reopenLog, replace)
	if s.parent != nil {
		go s.parent.listen(s)
	}
	useProcessors()
	if s.inline {
		// Only now is there a thread to load the script on.
		if s.server, err = runtime.New(s.config()); err != nil {
			return 0, notStarted("%v", err)
		}
	}
	s.onPython(func() { s.app, err = loadScript(found.options(s.cmd, s.set)) })
	if err != nil {
		return 0, err
	}
	if err = s.start(); err == nil {
		code = s.serve()
	} else {
		code = report(s.stderr, err) // now, because closing may take its time
	}
	s.front.withdraw()
	exitAfterClosingTime(code, func(line string) { s.log.log(runtime.LevelWarning, line) })
	s.onPython(func() { code = max(code, s.app.Close()) })
	s.closeLog()
	return code, nil
}

func (s *service) closeLog() {
	if s.access != nil {
		s.access.Close()
	}
}

// reopenLog is for who has renamed the file of the access log.
func (s *service) reopenLog() {
	if s.parent == nil {
		s.log.log(runtime.LevelInfo, "opening the log files anew")
	}
	if s.access == nil {
		return
	}
	if err := s.access.Reopen(); err != nil {
		s.log.log(runtime.LevelError, err.Error())
	}
}

// onPython runs f on Python's main thread.
func (s *service) onPython(f func()) {
	if s.inline {
		s.server.Do(f)
		return
	}
	f()
}

// start does what is left between a script that was run and requests that
// are answered.
func (s *service) start() (err error) {
	warn := func(line string) { s.log.log(runtime.LevelWarning, line) }
	s.onPython(func() { err = readSettings(s.cmd, s.set, s.app, s.inline, warn) })
	if err != nil {
		return err
	}
	if s.conf, err = s.set.Config(); err != nil {
		return usage(err)
	}
	s.log.setLevel(s.conf.LogLevel, s.conf.LoopDebug)
	if s.conf.AccessLog != "off" {
		if s.access, err = accesslog.Open(s.conf.AccessLog); err != nil {
			return notStarted("cannot write the access log: %v", err)
		}
	}
	table, err := mountTable(s.cmd.ScriptName(), s.app.Mounts())
	if err != nil {
		return err
	}
	if err := s.front.writePid(); err != nil {
		return err
	}
	var listeners []net.Listener
	if s.parent == nil { // else they come when it has loaded
		if listeners, err = s.listen(); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			for _, ln := range listeners {
				ln.Close() // and its file
			}
		}
	}()
	if err := keepFromChildren(listeners); err != nil {
		return notStarted("%v", err)
	}
	if s.inline {
		s.server.Configure(s.config())
	} else if s.server, err = runtime.New(s.config()); err != nil {
		return notStarted("%v", err)
	}
	run := pybridge.RunConfig{
		Threads:      s.conf.Threads,
		Queue:        s.conf.MaxQueue,
		Debug:        s.conf.Debug,
		Multiprocess: severalWorkers(s.conf.Workers),
		Software:     "fapws/" + version,
		SendFile:     len(s.conf.SendfileRoots) > 0,
		Accel:        len(s.conf.AccelRoots) > 0,
	}
	if s.parent != nil {
		run.Stuck = s.parent.stuck
	}
	var handler *pybridge.Handler
	s.onPython(func() { handler, err = s.app.Start(run) })
	if err != nil {
		return notStarted("%v", err)
	}
	addrs := make([]net.Addr, len(listeners))
	for i, ln := range listeners {
		addrs[i] = ln.Addr()
	}
	s.signals.serve()
	if s.parent == nil {
		socket, err := control(&s.conf, s.set.Source("ctl-socket"), &alone{s, addrs, handler, time.Now()}, s.log)
		if err != nil {
			return err
		}
		if socket != nil {
			if err := pybridge.KeepFromChildren(socket); err != nil {
				return notStarted("%v", err)
			}
		}
		s.front.control.Store(socket)
	} else {
		s.answerQuestions(handler)
	}
	if err := s.server.Serve(listeners, table, handler); err != nil {
		return notStarted("%v", err)
	}
	s.memory.soon(startPagesAfter)
	if s.parent != nil {
		s.parent.onAsk(askAlive, func() string { return alive(s.server) })
		go s.parent.present(s)
	} else {
		s.announce(addrs)
	}
	return nil
}

// announce says where requests are answered: to people, and to the service
// manager, whose watchdog is told from now on for as long as they are.
func (s *service) announce(addrs []net.Addr) {
	s.front.told(s.front.notifier.Ready(servingLine(addrs)))
	go s.front.notifier.Watch(context.Background(), s.server.Ping)
	if s.log.shows(runtime.LevelInfo) {
		fmt.Fprint(s.stderr, banner(addrs, localAddresses(), s.app.Served(), pybridge.Version(), mode(s.conf.Threads)))
	}
}
