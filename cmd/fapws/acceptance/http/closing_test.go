package http_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The test does not run inline. Inline, the thread of the event loop runs close(), so no response can be sent until
// close() returns.
func TestResponseDoesNotWaitForCloseOfItsIterable(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "closing.py")
	w := s.Dial()
	for range 100 {
		w.Fetch("/answer").Is(t, "answer")
	}
	w.Fetch("/answer?waits").Is(t, "answer")
	s.Get("/release", 200).Is(t, "released")
}
