package http_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A response does not wait for the close() of its iterable, even if all earlier calls of close() were too quick for a
// wake-up of the loop. In inline mode no other thread could send it.
func TestAnswerBeforeClose(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "closing.py")
	w := s.Dial()
	for range 100 {
		w.Fetch("/answer").Is(t, "answer")
	}
	w.Fetch("/answer?waits").Is(t, "answer")
	s.Get("/release", 200).Is(t, "released")
}
