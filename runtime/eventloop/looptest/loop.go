package looptest

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop"
)

// New returns a loop for Run.
func New(t testing.TB) *eventloop.Loop {
	t.Helper()
	return checktest.Try(eventloop.New()).Must(t)
}

// Run runs a loop until the end of the test. Before the loop stops, it calls the function end.
func Run(t testing.TB, loop *eventloop.Loop, end func()) {
	ended := make(chan error)
	go func() { ended <- loop.Run() }()
	t.Cleanup(func() {
		Do(loop, end)
		loop.Stop()
		checktest.Equal(t, <-ended, nil)
		loop.Close()
	})
}

func Do(loop *eventloop.Loop, f func()) {
	done := make(chan struct{})
	if loop.Post(func() { defer close(done); f() }) {
		<-done
	}
}

func Until(t testing.TB, loop *eventloop.Loop, subject string, holds func() bool) {
	t.Helper()
	checktest.Eventually(t, subject, func() (ok bool) {
		Do(loop, func() { ok = holds() })
		return ok
	})
}
