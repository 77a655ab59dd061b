package worker

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"fapws/cmd/fapws/pool"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

// Each test case is a sequence of signals with the expected effects. In a sequence, "serve" marks the moment when
// serving begins, and "later" stands for a pause.
func TestSignalsStopReloadAndForceTheExit(t *testing.T) {
	const (
		serve = syscall.Signal(0)
		later = syscall.Signal(-1)
	)
	for _, tt := range []struct {
		worker bool
		sent   []os.Signal
		want   []string
	}{
		{false, []os.Signal{syscall.SIGINT}, []string{"info", "exit 0"}},
		{false, []os.Signal{syscall.SIGTERM}, []string{"info", "exit 0"}},
		{false, []os.Signal{syscall.SIGQUIT}, []string{"info", "exit 0"}},
		{false, []os.Signal{syscall.SIGHUP, serve, syscall.SIGUSR2}, []string{"info", "info"}},
		{false, []os.Signal{serve, syscall.SIGUSR1}, []string{"reopen"}},
		{false, []os.Signal{serve, syscall.SIGTERM}, []string{"end 0"}},
		{false, []os.Signal{serve, syscall.SIGQUIT}, []string{"end 2"}},
		{false, []os.Signal{serve, syscall.SIGTERM, syscall.SIGQUIT}, []string{"end 0", "end 2"}},
		{false, []os.Signal{serve, syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM}, []string{"end 0"}},
		{false, []os.Signal{serve, syscall.SIGINT, syscall.SIGHUP, later, syscall.SIGTERM},
			[]string{"info", "warning", "exit 1", "end 0"}},
		{true, []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, serve, syscall.SIGINT, syscall.SIGQUIT,
			syscall.SIGHUP, syscall.SIGUSR2}, nil},
		{true, []os.Signal{syscall.SIGTERM}, []string{"exit 143"}},
		{true, []os.Signal{serve, syscall.SIGUSR1, syscall.SIGTERM}, []string{"reopen", "replace"}},
	} {
		var got []string
		replaced := make(chan string, 1)
		s := &signals{orders: make(chan shutdownRequest, 8)}
		if tt.worker {
			s.replace = func(string) { replaced <- "replace" }
		}
		s.log = func(level logfile.Level, _ string) { got = append(got, level.String()) }
		s.exit = func(code int) { got = append(got, fmt.Sprint("exit ", code)) }
		s.reopen = func() { got = append(got, "reopen") }
		for _, sig := range tt.sent {
			switch sig {
			case serve:
				s.serve()
			case later:
				s.told = s.told.Add(-pool.Echo)
			default:
				s.handle(sig)
			}
		}
		if slices.Contains(tt.want, "replace") {
			got = append(got, <-replaced)
		}
		for len(s.orders) > 0 {
			got = append(got, fmt.Sprint("end ", (<-s.orders).how))
		}
		checktest.Equalf(t, got, tt.want, "%v", tt.sent)
	}
}
