package http_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Inline mode is not tested: there, close() runs on the event loop's thread, so nothing can send the response
// meanwhile.
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
