package runtime

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestLoopContinuesWhileItsThreadDoesOtherWork(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	thread := 0
	for range 3 {
		var now int
		s.DoBeside(func() {
			now = unix.Gettid()
			got := s.talk(t, "GET / HTTP/1.0\r\n\r\n")
			checktest.Truef(t, strings.HasSuffix(got, "\r\n\r\nhello"), "meanwhile: %q", got)
			s.do(func() {
				checktest.Truef(t, unix.Gettid() != now, "the loop is on the same thread")
			})
		})
		checktest.Truef(t, thread == 0 || now == thread, "it has another thread")
		thread = now
	}
	s.Do(func() {
		checktest.Equalf(t, unix.Gettid(), thread, "the loop is on another thread")
	})
}
