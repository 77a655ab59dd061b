package worker

import (
	"context"
	"io"
	"os"
	"sync/atomic"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// A service with the role visitor has no listeners, and ends after its requests.
type visitor struct {
	alone
	targets  []string    // of the requests; nil for the request of --reload-check
	answered atomic.Bool // all requests have succeeded
}

func newVisitor(p *plan.Plan, targets []string, stderr io.Writer) *visitor {
	r := &visitor{targets: targets}
	s := newService(p, &Instance{}, stderr, r)
	r.use(s)
	s.level, s.signals.checks = logfile.Debug, true
	s.show(nil)
	return r
}

// CheckReload loads and starts the application, sends the request of --reload-check, and prints an error if the request
// fails. CheckReload must be called on the main thread.
func CheckReload(p *plan.Plan, stderr io.Writer) (code int, err error) {
	s := newVisitor(p, nil, stderr).s
	return s.run(s.loadAndServe)
}

// Visit loads and starts the applications, and sends a GET request for each of targets, which have the form of the value
// of --reload-check. If a request fails, Visit prints an error. Otherwise Visit calls the function last, whose result is
// the exit code, before it ends the applications. Visit must be called on the main thread.
func Visit(p *plan.Plan, targets []string, stderr io.Writer, last func(*pybridge.App) int) (code int, err error) {
	p.Conf.Fork, p.Conf.IdleStop = false, 0 // so that handlers run in this process
	p.Conf.AccessLog = ""
	r := newVisitor(p, targets, stderr)
	s := r.s
	s.https.want.Store(&certificates.Want{}) // prevents that certificates, which may be missing, are read
	s.last = func(code int) int {
		if !r.answered.Load() { // a request failed, or a signal came first
			return max(code, process.Failed)
		}
		s.python.do(func() { code = last(s.python.app) })
		return code
	}
	return s.run(s.loadAndServe)
}

func (r *visitor) begin() (early bool, err error) { return false, nil }

func (r *visitor) enter() ([]*conn.Listener, error) { return nil, r.s.startAsync() }

func (r *visitor) serve(_ []*conn.Listener, install func() error) error {
	if err := install(); err != nil {
		return err
	}
	targets := r.targets
	if targets == nil {
		targets = []string{r.s.conf.ReloadTarget()}
	}
	go func() {
		code := process.OK
		for _, target := range targets {
			ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
			if err := checkSelf(ctx, r.s.server, target); err != nil {
				code = process.ExitReport(os.Stderr, err)
			}
			cancel()
		}
		r.answered.Store(code == process.OK)
		r.s.signals.end(shutdownRequest{how: quickly, code: code}, code)
	}()
	return nil
}
