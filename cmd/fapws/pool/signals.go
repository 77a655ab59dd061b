package pool

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

// Echo is the time after a TERM or INT during which a second TERM or INT is ignored as a duplicate. If the server was
// started through another program, a terminal or timeout(1) delivers each signal twice.
const Echo = 200 * time.Millisecond

type Signals struct {
	C       chan os.Signal
	ended   chan os.Signal // one SIGCHLD can stand for several processes that have ended
	ignored []syscall.Signal
}

// Signals that were ignored when the server started stay ignored, for example in a background job of a script. HUP is
// caught even under nohup, because HUP is a command to the server and does not mean that a terminal was closed. At the
// end, Catch calls the function arrived, which returns the signals that arrived during an upgrade
// (process.SignalsArrived).
func Catch(h *Handover, arrived func() []syscall.Signal) *Signals {
	s := &Signals{C: make(chan os.Signal, 16), ended: make(chan os.Signal, 1)}
	signal.Notify(s.ended, syscall.SIGCHLD)
	for _, sig := range process.ControlSignals {
		ignored := signal.Ignored(sig)
		if h != nil { // The previous program ignored some signals only for the upgrade.
			ignored = slices.Contains(h.Ignored, sig)
		}
		if ignored && sig != syscall.SIGHUP {
			s.ignored = append(s.ignored, sig)
			signal.Ignore(sig)
		} else {
			signal.Notify(s.C, sig)
		}
	}
	for _, sig := range arrived() {
		if !slices.Contains(s.ignored, sig) {
			s.C <- sig
		}
	}
	return s
}

func (s *Signals) pending() (list []syscall.Signal) {
	for len(s.C) > 0 {
		list = append(list, (<-s.C).(syscall.Signal))
	}
	return list
}

func (p *Pool) signal(sig os.Signal) {
	stops, hangup := sig == syscall.SIGTERM || sig == syscall.SIGINT, sig == syscall.SIGHUP && p.o.HangupStops
	if stops || hangup {
		if !p.stopping {
			p.told = time.Now()
			p.stop(Stop)
		} else if stops && time.Since(p.told) >= Echo {
			p.killAll()
		}
		return
	}
	switch sig {
	case syscall.SIGQUIT:
		p.stop(Quit)
	case syscall.SIGHUP:
		p.begin(request{why: "HUP"})
	case syscall.SIGUSR1:
		p.o.Reopen()
		p.o.Log(logfile.Info, "reopening the log files")
		p.reopen()
	case syscall.SIGUSR2:
		p.begin(request{why: "USR2", upgrade: true})
	case syscall.SIGTTIN:
		p.resize(+1)
	case syscall.SIGTTOU:
		p.resize(-1)
	}
}

// Stop ends all workers within the graceful timeout, and then Run returns.
func (p *Pool) Stop() { p.post(func() { p.stop(Stop) }) }

// stop ends all workers with a message of the given kind, Stop or Quit. Before this, stop closes the sockets, so that
// new clients are refused at once.
func (p *Pool) stop(kind Kind) {
	if !p.stopping {
		p.stopping = true
		p.o.Event(Stopping, "")
		text := "stopping immediately"
		// Until a worker has loaded, all workers end at once, because none of them has clients.
		if kind == Stop && p.settled.Protocol != 0 {
			text = fmt.Sprintf("stopping; waiting up to %v for active requests (signal again to exit now)",
				p.settled.GracefulTimeout)
			if d := p.settled.ShutdownDelay; d > 0 {
				text = fmt.Sprintf("stopping in %v, then waiting up to %v for active requests (signal again "+
					"to exit now)", d, p.settled.GracefulTimeout)
			}
		}
		p.o.Log(logfile.Info, text)
		p.closeSockets()
		p.cancelLoads()
		p.pace.reset()
	}
	for _, w := range p.workers {
		w.end(kind)
		w.signal(unix.SIGCONT) // a worker that was stopped by a signal could not handle the message
	}
}

func (p *Pool) killAll() {
	p.o.Log(logfile.Warning, "received a second stop signal; exiting immediately")
	p.result = &process.ExitError{Code: process.Failed}
	for _, w := range p.workers {
		w.signal(unix.SIGKILL)
	}
}

func (p *Pool) fail(err error) {
	p.result, p.stopping = err, true
	p.cancelLoads()
	p.stop(Quit)
}

func (p *Pool) closeSockets() {
	for _, a := range p.addresses {
		a.Socket.Close()
	}
	p.addresses = nil
}
