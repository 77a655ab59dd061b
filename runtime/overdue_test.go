package runtime

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/http1conn"
)

func TestRecentHeadDoesNotTimeOutIfTheClockOfTheLoopIsLate(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Timeout: time.Hour})
	half := s.dial(t)
	io.WriteString(half, "GET /half HTTP/1.1\r\n")
	const limit = 100 * time.Millisecond
	eventually(t, "it has begun", func() (begun bool) {
		s.do(func() {
			l := s.loop
			all := l.all()
			begun = l.now() > 2*tickLength && slices.ContainsFunc(all, func(c *http1conn.Conn) bool {
				return c.State() == http1conn.StateHead
			})
			if !begun {
				return
			}
			l.clock(time.Now().Add(-time.Duration(2*tickLength) * 9 / 10))
			s.cfg.Sites.HeadTimeout = limit
			s.configure(s.cfg)
			for _, c := range all {
				c.Stamp = l.now()
				c.Schedule()
			}
			l.ticked()
			l.cfg.Sites.HeadTimeout = time.Hour
			for _, c := range l.all() {
				c.Schedule()
			}
		})
		return begun
	})
	io.WriteString(half, "Host: x\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(half)
	checktest.Truef(t, strings.HasPrefix(string(text), "HTTP/1.1 200 ") && err == nil, "got %q, %v", text, err)
}
