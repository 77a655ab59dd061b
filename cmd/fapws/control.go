package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
)

// speak is "fapws ctl".
func speak(args []string, stdout io.Writer) error {
	err := ctl.Run(args, stdout, settings.Nearest)
	var wrong *ctl.UsageError
	if errors.As(err, &wrong) {
		return usage(err)
	}
	return err
}

// control opens the control socket that the settings ask for, or returns nil.
// Without it a server serves as well, so it is an error only if it was named.
func control(conf *settings.Config, from settings.Source, server ctl.Server, log *logger) (*ctl.Socket, error) {
	if conf.ControlSocket == ctl.Off {
		return nil, nil
	}
	socket, err := ctl.Listen(conf.ControlSocket, server)
	switch {
	case err == nil:
		return socket, nil
	case conf.ControlSocket != ctl.Auto:
		return nil, notStarted("cannot make the control socket (%s): %v", from, err)
	case from.Level > settings.FromDefault:
		log.log(runtime.LevelWarning, fmt.Sprintf("no control socket: %v", err))
	default:
		log.log(runtime.LevelDebug, fmt.Sprintf("no control socket: %v", err))
	}
	return nil, nil
}

// stackWait is how long the requests in flight may take to say where they are.
const stackWait = 2 * time.Second

// alone is the control socket's view of a process without a supervisor.
type alone struct {
	s       *service
	addrs   []net.Addr
	handler *pybridge.Handler
	since   time.Time
}

func (a *alone) Report() ctl.Report {
	r := reportOf(a.s.cmd, &a.s.conf, a.addrs, a.since)
	r.Workers = []ctl.Worker{{
		PID: r.PID, State: "serving", Age: r.Uptime, RSS: ctl.RSS(r.PID), Requests: a.s.server.Served(),
	}}
	return r
}

// reportOf is what a Report says of the server as a whole.
func reportOf(cmd *settings.Command, conf *settings.Config, addrs []net.Addr, since time.Time) ctl.Report {
	r := ctl.Report{
		PID:     os.Getpid(),
		App:     cmd.Script,
		Version: version,
		Python:  pybridge.Version(),
		Mode:    mode(conf.Threads),
		Uptime:  time.Since(since).Seconds(),
	}
	for _, addr := range addrs {
		url, _ := urlsOf(addr, nil)
		r.Addresses = append(r.Addresses, url)
	}
	return r
}

func (a *alone) Stack() string {
	var b strings.Builder
	_ = a.handler.Stack(&b, stackWait) // what it could not see is in the text
	return b.String()
}

func (a *alone) Reload() error {
	return errors.New("this server has no supervisor, which reloading takes: start it with --workers 1 or --reload")
}

func (a *alone) Stop() { a.s.signals.finish() }
