package pool

import (
	"os"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

const patience = checktest.Patience

var eventually = checktest.Eventually

func idle() Options {
	return Options{
		Early:        func() []Address { return nil },
		Up:           func([]Address, bool) {},
		Attributes:   func() *syscall.SysProcAttr { return nil },
		Fits:         func(*Settled) string { return "" },
		Event:        func(Event, string) {},
		BeforeExec:   func() ([]byte, []syscall.Conn) { return nil, nil },
		Certificates: func(string, bool) ([]byte, error) { return nil, os.ErrNotExist },
		Query:        func(int, string) string { return "answer" },
		LastWords:    func(int, []byte) {},
		Reopen:       func() {},
		Log:          func(logfile.Level, string) {},
	}
}

func TestPauseBetweenStartsDoublesUpToTenSeconds(t *testing.T) {
	p := New(idle())
	var waits []time.Duration
	for range 9 {
		p.pace.wait(p)
		p.pace.pause.Stop()
		p.pace.pause = nil
		waits = append(waits, p.pace.last)
	}
	const ms = time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms,
		10000 * ms}
	checktest.Equal(t, waits, want)
}
