package worker

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/banner"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/presence"
	"fapws/runtime"
	"fapws/runtime/listen"
	"fapws/runtime/loglevel"
)

// rehearsal is the host of a service for "check --sandbox": it has no listeners, and requests the paths of the
// applications and the configuration file itself.
type rehearsal struct {
	alone
	out     io.Writer
	targets []string
	denied  map[string]bool // lines about denials
}

// Rehearse makes a GET request for each path of p that is known, in a sandbox, prints the status of the answers and what
// was denied, and returns the exit code: 1 if something was. os.TempDir() must be the directory of the sandbox. It must be
// called on the main thread.
func Rehearse(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	p.Conf.Fork, p.Conf.IdleStop = false, 0 // here, where the denials can be seen
	s := &service{plan: p, front: &presence.Presence{}, stderr: stderr}
	r := &rehearsal{alone: alone{s: s}, out: stdout, denied: map[string]bool{}}
	s.host, s.relay = r, newLocalRelay(s)
	return s.run()
}

func (r *rehearsal) begin() error              { return nil }
func (r *rehearsal) abandon()                  {}
func (r *rehearsal) control() error            { return nil }
func (r *rehearsal) configure(*runtime.Config) {}
func (r *rehearsal) rereading() func() bool    { return nil }
func (r *rehearsal) level() loglevel.Level     { return loglevel.Debug }

// open enters the sandbox, as a worker does.
func (r *rehearsal) open() ([]*listen.Listener, error) {
	s := r.s
	r.targets = s.plan.Site.Targets()
	if s.app != nil {
		var status int
		var found []string
		var err error
		s.onPython(func() {
			if found, err = s.app.Targets(); err == nil {
				status = s.app.Tool("_rehearsal")
			}
		})
		if err != nil || status != 0 {
			return nil, exit.NotStarted("cannot prepare the requests: %v", err)
		}
		r.targets = append(found, r.targets...)
	}
	if err := s.enterSandbox(); err != nil {
		return nil, err
	}
	return nil, s.startAsync()
}

// serving makes the requests, and ends the process.
func (r *rehearsal) serving([]banner.Address) {
	go func() {
		code := exit.OK
		r.report() // of the startup
		for _, target := range slices.Compact(r.targets) {
			ctx, cancel := context.WithTimeout(context.Background(), rehearsalWithin)
			said := fmt.Sprintf("GET %s was answered", target)
			if err := checkSelf(ctx, r.s.server, target); err != nil {
				said = err.Error()
			}
			cancel()
			fmt.Fprintln(r.out, said)
			r.report()
		}
		if len(r.denied) > 0 {
			code = exit.Failed
		}
		r.s.signals.end(shutdownRequest{how: quickly, code: code}, code)
	}()
}

// rehearsalWithin is how long a request may take.
const rehearsalWithin = 10 * time.Second

// report prints the denials since the last call.
func (r *rehearsal) report() {
	text, _ := os.ReadFile(filepath.Join(os.TempDir(), "denied")) // missing: Python does not run here
	for line := range strings.Lines(string(text)) {
		if !r.denied[line] {
			r.denied[line] = true
			fmt.Fprint(r.out, "  ", line)
		}
	}
}
