package main

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/notify"
	"fapws/cmd/fapws/pidfile"
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

	// What a process that stands alone has, and a worker has not.
	passed   activation
	notifier *notify.Notifier
	pidPath  string
	pid      atomic.Pointer[pidfile.File]
	control  atomic.Pointer[ctl.Socket]
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
	s.signals = watchSignals(s.log.log, s.exit)
	if s.inline {
		useProcessors()
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
	s.withdraw()
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
	s.onPython(func() { err = readSettings(s.cmd.ScriptName(), s.set, s.app, s.inline) })
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
	if s.pidPath != "" {
		pid, err := pidfile.Write(s.pidPath)
		if err != nil {
			return notStarted("%v", err)
		}
		s.pid.Store(pid)
	}
	listeners, err := s.listen()
	if err != nil {
		return err
	}
	if err := keepFromChildren(listeners); err != nil {
		return notStarted("%v", err)
	}
	if s.inline {
		s.server.Configure(s.config())
	} else if s.server, err = runtime.New(s.config()); err != nil {
		return notStarted("%v", err)
	}
	var handler *pybridge.Handler
	s.onPython(func() {
		handler = s.app.Start(pybridge.RunConfig{
			Threads:      s.conf.Threads,
			Queue:        s.conf.MaxQueue,
			Debug:        s.conf.Debug,
			Multiprocess: severalWorkers(s.conf.Workers),
			Software:     "fapws/" + version,
		})
	})
	addrs := make([]net.Addr, len(listeners))
	for i, ln := range listeners {
		addrs[i] = ln.Addr()
	}
	s.signals.serve()
	socket, err := control(&s.conf, s.set.Source("ctl-socket"), &alone{s, addrs, handler, time.Now()}, s.log)
	if err != nil {
		return err
	}
	s.control.Store(socket)
	if err := s.server.Serve(listeners, table, handler); err != nil {
		return notStarted("%v", err)
	}
	s.memory.soon(startPagesAfter)
	s.announce(addrs)
	if s.log.shows(runtime.LevelInfo) {
		fmt.Fprint(s.stderr, banner(addrs, localAddresses(), s.app.Served(), pybridge.Version(), s.conf.Threads))
	}
	return nil
}
