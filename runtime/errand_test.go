package runtime

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoopContinuesWhileItsThreadDoesOtherWork(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	thread := 0
	for range 3 {
		var now int
		s.DoBeside(func() {
			now = unix.Gettid()
			if got := s.talk(t, "GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nhello") {
				t.Errorf("meanwhile: %q", got)
			}
			s.do(func() {
				if unix.Gettid() == now {
					t.Error("the loop is on the same thread")
				}
			})
		})
		if thread != 0 && now != thread {
			t.Error("it has another thread")
		}
		thread = now
	}
	s.Do(func() {
		if unix.Gettid() != thread {
			t.Error("the loop is on another thread")
		}
	})
}
