package fapwstest

import (
	"os/exec"
	"regexp"
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
		if strings.Contains(said, bad) && !s.crashes {
			s.T.Errorf("fapws has crashed: %q", bad)
		}
	}
	if !s.Complains && strings.Contains(said, "Traceback") {
		s.T.Error("fapws reports an error")
	}
	if s.T.Failed() {
		s.T.Logf("%s\nstdout:\n%.2000s\nstderr:\n%.8000s", s.Cmd, s.Stdout, said)
	}
}

func (s *Server) Signal(sig syscall.Signal) {
	s.T.Helper()
	if err := s.Cmd.Process.Signal(sig); err != nil {
		s.T.Errorf("signal %v: %v", sig, err)
	}
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
	if got := s.Ended(); got != code {
		s.T.Errorf("fapws ended with code %d, want %d", got, code)
	}
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

func (s *Server) ReloadFails(why string) {
	s.T.Helper()
	if code, _, stderr := s.Ctl("reload"); code != 1 || !strings.Contains(stderr, why) {
		s.T.Errorf("fapws ctl reload: code %d, %q, want %q", code, stderr, why)
	}
}
