package http_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// An answer does not wait for the close() of its iterable, also when all calls
// of close() until then were too quick to tell the loop before them. Inline
// no other thread could send it.
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
