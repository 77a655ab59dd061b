package main

import (
	"fmt"
	"os"
	"reflect"
	"syscall"
	"testing"

	"fapws/runtime"
)

// TestSignals sends a row of signals, "serve" for the moment when serving
// begins, and compares what happens.
func TestSignals(t *testing.T) {
	const serve = syscall.Signal(0)
	for _, tt := range []struct {
		sent []os.Signal
		want []string
	}{
		{[]os.Signal{syscall.SIGINT}, []string{"exit 130"}},
		{[]os.Signal{syscall.SIGTERM}, []string{"exit 143"}},
		{[]os.Signal{syscall.SIGHUP, serve, syscall.SIGUSR1}, []string{"info", "info"}},
		{[]os.Signal{serve, syscall.SIGTERM}, []string{"stop"}},
		{[]os.Signal{serve, syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM}, []string{"info", "warning", "exit 1", "stop"}},
	} {
		var got []string
		s := &signals{stop: make(chan struct{})}
		s.log = func(level runtime.Level, _ string) { got = append(got, level.String()) }
		s.exit = func(code int) { got = append(got, fmt.Sprint("exit ", code)) }
		for _, sig := range tt.sent {
			if sig == serve {
				s.serve()
				continue
			}
			s.handle(sig)
		}
		select {
		case <-s.stop:
			got = append(got, "stop")
		default:
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.sent, got, tt.want)
		}
	}
}
