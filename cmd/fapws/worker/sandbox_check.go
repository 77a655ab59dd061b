package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// A service with the role sandboxCheck has no listeners.
type sandboxCheck struct {
	alone
	out     io.Writer
	targets []string
	denied  map[string]bool
}

// CheckSandbox sends a GET request for each path in p in a sandbox, and prints the status of each response and each
// access that the sandbox has denied. The exit code is 1 if any access was denied. os.TempDir() must return the
// sandbox's own directory for temporary files. CheckSandbox must be called on the main thread.
func CheckSandbox(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	// run handlers in this process, because only this process can observe denied accesses
	p.Conf.Fork, p.Conf.IdleStop = false, 0
	r := &sandboxCheck{out: stdout, denied: map[string]bool{}}
	s := newService(p, &Instance{}, stderr, r)
	r.use(s)
	s.level, s.signals.checks = logfile.Debug, true
	s.show(nil)
	return s.run(s.loadAndServe)
}

func (r *sandboxCheck) begin() (early bool, err error) { return false, nil }

func (r *sandboxCheck) enter() ([]*conn.Listener, error) {
	s := r.s
	r.targets = s.plan.Site.Targets()
	if app := s.python.app; app != nil {
		var status int
		var found []string
		var err error
		s.python.do(func() {
			if found, err = app.Targets(); err == nil {
				status = app.Tool("_sandbox_check")
			}
		})
		if err != nil || status != 0 {
			return nil, process.ExitNotStarted("cannot prepare the requests: %v", err)
		}
		r.targets = append(found, r.targets...)
	}
	if err := s.enterSandbox(); err != nil {
		return nil, err
	}
	return nil, s.startAsync()
}

func (r *sandboxCheck) serve(_ []*conn.Listener, install func() error) error {
	err := install()
	if err == nil {
		go r.run()
	}
	return err
}

func (r *sandboxCheck) run() {
	code := process.OK
	r.report()
	for _, target := range slices.Compact(r.targets) {
		ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
		said := fmt.Sprintf("GET %s was answered", target)
		if err := checkSelf(ctx, r.s.server, target); err != nil {
			said = err.Error()
		}
		cancel()
		fmt.Fprintln(r.out, said)
		r.report()
	}
	if len(r.denied) > 0 {
		code = process.Failed
	}
	r.s.signals.end(shutdownRequest{how: quickly, code: code}, code)
}

const checkWithin = 10 * time.Second

func (r *sandboxCheck) report() {
	text, _ := os.ReadFile(filepath.Join(os.TempDir(), "denied")) // the file is missing if this process runs no Python
	for line := range strings.Lines(string(text)) {
		if !r.denied[line] {
			r.denied[line] = true
			fmt.Fprint(r.out, "  ", line)
		}
	}
}

// checkSelf sends a GET request to server. target has the form of the value of --reload-check. The error is a single
// line.
func checkSelf(ctx context.Context, server *runtime.Server, target string) error {
	status, err := server.Try(ctx, target)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("GET %s was not answered in time", target)
	case err != nil:
		return fmt.Errorf("GET %s: %v", target, err)
	case status >= 400:
		return fmt.Errorf("GET %s was answered with status %d", target, status)
	}
	return nil
}
