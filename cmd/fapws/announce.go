package main

import (
	"fmt"
	"os"
	"sync/atomic"

	"fapws/cmd/fapws/bind"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/notify"
	"fapws/cmd/fapws/pidfile"
	"fapws/cmd/fapws/settings"
	"fapws/runtime"
)

// front is what others know a server by. The process that takes the signals
// has it; that of a worker is empty, so that nothing it does shows.
type front struct {
	passed   bind.Passed
	notifier *notify.Notifier
	pidPath  string
	pid      atomic.Pointer[pidfile.File]
	control  atomic.Pointer[ctl.Socket]
	log      func(runtime.Level, string)
	warning  string // about how the process was started; "": none
}

// logTo sets where the process logs, and logs the warning that waited for this.
func (f *front) logTo(log func(runtime.Level, string)) {
	f.log = log
	if f.warning != "" {
		log(runtime.LevelWarning, f.warning)
	}
}

// writePid writes the pid file, if there is to be one.
func (f *front) writePid() error {
	if f.pidPath == "" {
		return nil
	}
	pid, err := pidfile.Write(f.pidPath)
	if err != nil {
		return exit.NotStarted("%v", err)
	}
	f.pid.Store(pid)
	return nil
}

// takePid goes on with the pid file of the program before in this process.
func (f *front) takePid(left []*os.File) error {
	if len(left) == 0 {
		return nil
	}
	if f.pidPath == "" {
		left[0].Close()
		return nil
	}
	pid, err := pidfile.TakeOver(f.pidPath, left[0])
	f.pid.Store(pid)
	return err
}

// withdraw takes back what others know this process by. Any goroutine may call
// it, more than once.
func (f *front) withdraw() {
	if err := f.pid.Load().Remove(); err != nil {
		f.log(runtime.LevelWarning, err.Error())
	}
	if socket := f.control.Load(); socket != nil {
		socket.Close()
	}
}

// exit ends the process at once.
func (f *front) exit(code int) {
	f.withdraw()
	os.Exit(code)
}

// told logs a message to the service manager that failed.
func (f *front) told(err error) {
	if err != nil {
		f.log(runtime.LevelWarning, "cannot tell the service manager: "+err.Error())
	}
}

// openControl opens the control socket that the settings ask for, if it can. Without one
// a server serves as well, so failing is an error only if the settings name it.
func (f *front) openControl(conf *settings.Config, from settings.Source, server ctl.Server) error {
	if conf.ControlSocket == ctl.Off {
		return nil
	}
	socket, err := ctl.Listen(conf.ControlSocket, server)
	switch {
	case err == nil:
		f.control.Store(socket)
	case conf.ControlSocket != ctl.Auto:
		return exit.NotStarted("cannot make the control socket (%s): %v", from, err)
	case from.Level > settings.FromDefault:
		f.log(runtime.LevelWarning, fmt.Sprintf("no control socket: %v", err))
	default:
		f.log(runtime.LevelDebug, fmt.Sprintf("no control socket: %v", err))
	}
	return nil
}
