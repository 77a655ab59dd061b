package fapwstest

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

type Server struct {
	T              *testing.T
	Address        string
	URL            string
	Cmd            *exec.Cmd
	Stdout, Stderr *Output
	Complains      bool
	crashes        bool
	Exited         chan struct{}
}

// BannerURL matches the lines that the server prints at its start, with the address as its group.
var BannerURL = regexp.MustCompile(`(?m)^fapws .*\n  http://(\S+)/\n`)

func (s *Server) cleanup() {
	select {
	case <-s.Exited:
	default:
		s.Stop()
	}
	said := s.Stderr.String()
	for _, bad := range []string{"panic:", "fatal error:", "SIGSEGV", "Fatal Python error", "WARNING: DATA RACE",
		"ERROR: AddressSanitizer"} {
		Truef(s.T, !strings.Contains(said, bad) || s.crashes, "fapws has crashed: %q", bad)
	}
	Truef(s.T, s.Complains || !strings.Contains(said, "Traceback"), "fapws reports an error")
	if s.T.Failed() {
		s.T.Logf("%s\nstdout:\n%.2000s\nstderr:\n%.8000s", s.Cmd, s.Stdout, said)
	}
}

func (s *Server) Signal(sig syscall.Signal) {
	s.T.Helper()
	Equalf(s.T, s.Cmd.Process.Signal(sig), nil, "signal %v", sig)
}

// SignalLogs sends a signal, and waits until the log has a match of pattern.
func (s *Server) SignalLogs(sig syscall.Signal, pattern string) []string {
	s.T.Helper()
	s.Signal(sig)
	return s.Says(pattern)
}

// Ended waits for the end of the server and returns its exit code, or a negative number if a signal has ended the
// server.
func (s *Server) Ended() int {
	s.T.Helper()
	select {
	case <-s.Exited:
	case <-time.After(Patience):
		_ = s.Cmd.Process.Signal(syscall.SIGABRT)
		<-s.Exited
		s.T.Error("fapws does not end")
	}
	return s.Cmd.ProcessState.ExitCode()
}

func (s *Server) EndsWith(code int) {
	s.T.Helper()
	Equalf(s.T, s.Ended(), code, "fapws ended with code")
}

func (s *Server) Stop() {
	s.T.Helper()
	s.Signal(syscall.SIGTERM)
	s.EndsWith(0)
}

func (s *Server) Says(pattern string) []string {
	s.T.Helper()
	return s.Stderr.Await(s.T, regexp.MustCompile(pattern))
}

func (s *Server) Ctl(words ...string) (code int, stdout, stderr string) {
	s.T.Helper()
	return s.ctl(words).Run(s.T)
}

func (s *Server) ctl(words []string) Command {
	return Command{Flags: append([]string{"ctl", "--pid", strconv.Itoa(s.Cmd.Process.Pid)}, words...)}
}

func (s *Server) Control(words ...string) (stdout string) {
	s.T.Helper()
	return s.ctl(words).Succeeds(s.T)
}

func (s *Server) ReloadFails(reason string) {
	s.T.Helper()
	code, _, stderr := s.Ctl("reload")
	Truef(s.T, code == 1 && strings.Contains(stderr, reason), "fapws ctl reload: code %d, %q, want %q", code, stderr, reason)
}

// Ask sends a request over a new connection.
func (s *Server) Ask(text string) *Answer {
	s.T.Helper()
	w := s.Dial()
	defer w.Close()
	return w.Ask(text)
}

func (s *Server) Get(target string, status int, fields ...string) *Answer {
	s.T.Helper()
	return s.Ask(Get(target, fields...)).Want(s.T, status)
}

// GetLogs requests target, and waits until the log has a match of pattern.
func (s *Server) GetLogs(target string, status int, pattern string) {
	s.T.Helper()
	s.Get(target, status)
	s.Says(pattern)
}

// Until504 repeats requests for target until the log contains a match of pattern. The handler of target must time out.
// On a busy machine, a request may time out before its handler runs.
func (s *Server) Until504(target, pattern string) (match []string) {
	s.T.Helper()
	Eventually(s.T, pattern+" in the log", func() bool {
		s.Get(target, 504)
		for range 2000 {
			if match = regexp.MustCompile(pattern).FindStringSubmatch(s.Stderr.String()); match != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return match != nil
	})
	return match
}

func TooBig(t *testing.T, s *Server, request, extra string) {
	t.Helper()
	w := s.Dial()
	w.Send(request)
	w.Send(extra)
	a := w.Answer().Want(t, 413, "the request body is too large")
	Truef(t, a.Close, "no Connection: close with 413: %q", a.Header)
	w.Closed()
}

// Signaled sends a signal and waits until the server's stderr has more matches of pattern than before.
func (s *Server) Signaled(sig syscall.Signal, pattern string) {
	s.T.Helper()
	said := func() int { return len(regexp.MustCompile(pattern).FindAllString(s.Stderr.String(), -1)) }
	before := said()
	s.Signal(sig)
	Eventually(s.T, fmt.Sprintf("another %q after signal %d", pattern, sig), func() bool { return said() > before })
}

// Reload reloads the server and returns when the new workers serve. The old workers may still be ending (see
// HasWorkers).
func (s *Server) Reload() { s.T.Helper(); s.Signaled(syscall.SIGHUP, "info reloaded") }

func (s *Server) Upgrade() { s.T.Helper(); s.Signaled(syscall.SIGUSR2, "info upgraded") }

func (s *Server) Workers() (pids []int) {
	s.T.Helper()
	for pid := range ChildrenOf(s.T, s.Cmd.Process.Pid) {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// Stalls waits until the number at target is above 0 and stays the same for a moment, and returns the number. subject
// says so in the message of an error.
func (s *Server) Stalls(subject, target string) (n int) {
	s.T.Helper()
	Eventually(s.T, subject, func() bool {
		time.Sleep(100 * time.Millisecond)
		last := n
		n = s.Get(target, 200).Number(s.T)
		return n > 0 && n == last
	})
	return n
}

// HasWorkers waits until there are n workers, none of which is in the list old.
func (s *Server) HasWorkers(n int, old ...int) {
	s.T.Helper()
	Eventually(s.T, fmt.Sprint(n, " workers, none of ", old), func() bool {
		now := s.Workers()
		return len(now) == n && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) })
	})
}
