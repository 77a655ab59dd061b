package runtime

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

func (a *testApp) told() (paths string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.overdue {
		paths += o.path + " "
	}
	return paths
}

// A head that has just begun is not late because the clock of the loop is.
func TestLateTick(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Timeout: time.Hour}, newApp(false, demo))
	half := s.dial(t)
	io.WriteString(half, "GET /half HTTP/1.1\r\n")
	const limit = 100 * time.Millisecond
	eventually(t, "it has begun", func() (begun bool) {
		s.do(func() {
			l := s.loop
			all := l.all()
			begun = l.now() > 2*tickLength && slices.ContainsFunc(all, func(c *sites.Conn) bool { return c.State() == sites.StateHead })
			if !begun {
				return
			}
			l.clock(time.Now().Add(-time.Duration(2*tickLength) * 9 / 10)) // the last tick was nearly two ticks ago
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
	if got := bodies(t, string(text)); got != "200:GET /half?" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// An inline handler that does not return keeps the loop. Its client has the answer all the same, within the
// limit of the server or of the route, and what waited behind it is forgiven.
func TestStalled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		limit time.Duration
		mount sites.Mount
	}{
		{"server", time.Millisecond, sites.Mount{Prefix: "/"}},
		{"route", 0, sites.Mount{Prefix: "/", Rules: mustRules(t, sites.RuleOptions{Timeout: time.Millisecond})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answered := make(chan struct{})
			a := newApp(true, func(c *call) {
				switch c.Path {
				case "/hang":
					<-answered
					c.reply(200, "too late")
				case "/begun":
					c.part(exchange.Part{File: -1, Body: []byte("x"), Head: exchange.Head{Status: 200, Length: 9}})
					<-answered
					c.part(exchange.Part{Last: true, File: -1, Body: []byte("too late")})
				default:
					c.reply(200, c.Path)
				}
			})
			s := serve(t, Config{Timeout: c.limit}, a, c.mount)
			w := s.dial(t)
			io.WriteString(w, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			r := bufio.NewReader(w)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != 504 {
				t.Fatal(res, err)
			}
			io.Copy(io.Discard, res.Body)
			close(answered)
			rest, err := io.ReadAll(r)
			if got := bodies(t, string(rest)); err != nil || got != "200:/2" {
				t.Errorf("got %q, %v", got, err)
			}
			eventually(t, "told, and all released", func() bool { return a.told() == "/hang " && a.idle() })
		})
	}
}
