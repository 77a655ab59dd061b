package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/runtime"
	"fapws/runtime/system"
)

// sandboxCheck is "check --sandbox": its service has no listeners, and requests the paths of the applications and the
// configuration file itself.
type sandboxCheck struct {
	s       *service
	out     io.Writer
	targets []string
	denied  map[string]bool // lines about denials
}

// CheckSandbox makes a GET request for each path of p that is known, in a sandbox, prints the status of the answers and what
// was denied, and returns the exit code: 1 if something was. os.TempDir() must be the directory of the sandbox. It must be
// called on the main thread.
func CheckSandbox(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	p.Conf.Fork, p.Conf.IdleStop = false, 0 // here, where the denials can be seen
	s := &service{plan: p, instance: &Instance{}, log: p.Logger(stderr)}
	s.check = &sandboxCheck{s: s, out: stdout, denied: map[string]bool{}}
	s.relay = newRelay(s, nil)
	s.conf = p.Conf
	s.show(nil) // the status page may be requested
	return s.run()
}

// confine enters the sandbox, as a worker does.
func (r *sandboxCheck) confine() error {
	s := r.s
	r.targets = s.plan.Site.Targets()
	if s.app != nil {
		var status int
		var found []string
		var err error
		s.onPython(func() {
			if found, err = s.app.Targets(); err == nil {
				status = s.app.Tool("_sandbox_check")
			}
		})
		if err != nil || status != 0 {
			return process.ExitNotStarted("cannot prepare the requests: %v", err)
		}
		r.targets = append(found, r.targets...)
	}
	if err := s.enterSandbox(); err != nil {
		return err
	}
	return s.startAsync()
}

// run makes the requests, and ends the process.
func (r *sandboxCheck) run() {
	code := process.OK
	r.report() // of the startup
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

// checkWithin is how long a request may take.
const checkWithin = 10 * time.Second

// report prints the denials since the last call.
func (r *sandboxCheck) report() {
	text, _ := os.ReadFile(filepath.Join(os.TempDir(), "denied")) // missing: Python does not run here
	for line := range strings.Lines(string(text)) {
		if !r.denied[line] {
			r.denied[line] = true
			fmt.Fprint(r.out, "  ", line)
		}
	}
}

// checkSelf makes a GET request to server, as if it had come in from a unix
// socket, but without the need for a password. target is as --reload-check has it. The error is one line.
func checkSelf(ctx context.Context, server *runtime.Server, target string) error {
	url := target
	if strings.HasPrefix(target, "/") {
		url = "http://localhost" + target
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("GET %s: %v", target, err)
	}
	r.Header.Set("User-Agent", "fapws-reload-check")
	over := http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return connect(server) }}
	answer, err := over.RoundTrip(r)
	if err == nil {
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("GET %s was not answered in time", target)
	case err != nil:
		return fmt.Errorf("GET %s: %v", target, err)
	case answer.StatusCode >= 400:
		return fmt.Errorf("GET %s was answered with status %d", target, answer.StatusCode)
	}
	return nil
}

// connect makes a connection to server, for its own requests.
func connect(server *runtime.Server) (ours net.Conn, err error) {
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	theirs, err := system.Conn(fds[1], "reload check")
	if err == nil {
		err = server.EnrolOwn(theirs)
	}
	if err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	return system.Conn(fds[0], "reload check")
}
