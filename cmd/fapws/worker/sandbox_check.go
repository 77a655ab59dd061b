package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	s := &service{plan: p, instance: &Instance{}, stderr: stderr}
	s.check = &sandboxCheck{s: s, out: stdout, denied: map[string]bool{}}
	s.relay = newLocalRelay(s)
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
// socket, but without the need for a password. The error is one line.
func checkSelf(ctx context.Context, server *runtime.Server, target string) error {
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	ours, err := connOf(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return err
	}
	defer ours.Close()
	theirs, err := connOf(fds[1])
	if err == nil {
		err = server.EnrolOwn(theirs)
	}
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		ours.SetDeadline(deadline)
	}
	status, err := get(ours, target)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("GET %s was not answered in time", target)
	case err != nil:
		return fmt.Errorf("GET %s: %v", target, err)
	case status >= 400:
		return fmt.Errorf("GET %s was answered with status %d", target, status)
	}
	return nil
}

func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "reload check")
	defer f.Close()
	return net.FileConn(f)
}

// get makes a request and returns the status of the answer, once it is whole.
// target is as --reload-check has it.
func get(c net.Conn, target string) (status int, err error) {
	host := "localhost"
	if rest, named := strings.CutPrefix(target, "http://"); named {
		slash := strings.IndexByte(rest, '/')
		host, target = rest[:slash], rest[slash:]
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fapws-reload-check\r\nConnection: close\r\n\r\n", target, host); err != nil {
		return 0, err
	}
	r := bufio.NewReader(c)
	for status < 200 { // RFC 9110 §15.2: others may come before the answer
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if len(line) > 12 && line[:5] == "HTTP/" {
			if status, err = strconv.Atoi(line[9:12]); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.Copy(io.Discard, r)
	return status, err
}
