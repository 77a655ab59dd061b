package worker

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

// Presence is the pid file, the service manager and the control socket of a server. The process that takes the
// signals has them; the Presence of a worker is empty, so it does nothing.
type Presence struct {
	Passed   Passed
	Notifier *process.Notifier
	PidPath  string
	Pid      atomic.Pointer[process.PIDFile]
	Control  atomic.Pointer[ctl.Socket]
	log      func(logfile.Level, string)
	Warning  string // about how the process was started, or ""
}

// LogTo sets where the process logs, and logs the warning that waited for this.
func (f *Presence) LogTo(log func(logfile.Level, string)) {
	f.log = log
	if f.Warning != "" {
		log(logfile.Warning, f.Warning)
	}
}

// WritePid writes the pid file, if there is to be one.
func (f *Presence) WritePid() error {
	if f.PidPath == "" {
		return nil
	}
	pid, err := process.WritePIDFile(f.PidPath)
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	f.Pid.Store(pid)
	return nil
}

// TakePid goes on with the pid file of the program before in this process.
func (f *Presence) TakePid(left []*os.File) error {
	if len(left) == 0 {
		return nil
	}
	if f.PidPath == "" {
		left[0].Close()
		return nil
	}
	pid, err := process.TakeOverPIDFile(f.PidPath, left[0])
	f.Pid.Store(pid)
	return err
}

// Withdraw removes pid file and control socket, and tells the service manager. It is safe for concurrent use, and may
// be called more than once.
func (f *Presence) Withdraw() {
	if err := f.Pid.Load().Remove(); err != nil {
		f.log(logfile.Warning, err.Error())
	}
	if socket := f.Control.Load(); socket != nil {
		socket.Close()
	}
}

// Exit ends the process at once.
func (f *Presence) Exit(code int) {
	f.Withdraw()
	os.Exit(code)
}

// LogNotifyError logs why the service manager could not be notified.
func (f *Presence) LogNotifyError(err error) {
	if err != nil {
		f.log(logfile.Warning, "cannot tell the service manager: "+err.Error())
	}
}

// OpenControl opens the control socket that the settings ask for, if it can. Without one
// a server serves as well, so failing is an error only if the settings name it.
func (f *Presence) OpenControl(conf *settings.Config, from settings.Source, server ctl.Server) error {
	if conf.ControlSocket == ctl.Off {
		return nil
	}
	socket, err := ctl.Listen(conf.ControlSocket, server)
	switch {
	case err == nil:
		f.Control.Store(socket)
	case conf.ControlSocket != ctl.Auto:
		return process.ExitNotStarted("cannot create the control socket (%s): %v", from, err)
	case from.Level > settings.FromDefault:
		f.log(logfile.Warning, fmt.Sprintf("no control socket: %v", err))
	default:
		f.log(logfile.Debug, fmt.Sprintf("no control socket: %v", err))
	}
	return nil
}

// ReportPresence is the part of a report of the control socket that is about the server as a whole.
func ReportPresence(p *plan.Plan, conf *settings.Config, addrs []Address, since time.Time) ctl.Report {
	r := ctl.Report{
		PID:     os.Getpid(),
		App:     p.Label(conf),
		Version: process.Version,
		Python:  p.Python(),
		Mode:    BannerMode(conf),
		Uptime:  time.Since(since).Seconds(),
	}
	if path, print := p.OwnCA(conf); print != "" {
		r.CA = &ctl.OwnCA{Path: path, SHA256: print}
	}
	for _, addr := range addrs {
		r.Addresses = append(r.Addresses, BannerURL(addr))
	}
	return r
}
