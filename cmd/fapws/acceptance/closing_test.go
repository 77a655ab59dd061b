package acceptance

import "testing"

// An answer does not wait for the close() of its iterable, also when all calls
// of close() until then were too quick to tell the loop before them. Inline
// there is nobody else who could send it.
func TestAnswerBeforeClose(t *testing.T) {
	t.Parallel()
	s := serve(t, modes[0], "closing.py")
	w := s.dial()
	for range 100 {
		w.get("/answer")
		w.answer().is(t, "answer")
	}
	w.get("/answer?waits")
	w.answer().is(t, "answer")
	s.get("/release", 200).is(t, "released")
}
