package runtime

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

// undecided returns how many requests of s wait for what answers them.
func undecided(s *testServer) (n int) {
	s.do(func() { n = s.loop.sites.Waiting() })
	return n
}

// sends makes a request in a connection of its own, and returns that.
func sends(t *testing.T, s *testServer, request string) *net.TCPConn {
	t.Helper()
	c := s.dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Error(err)
	}
	return c
}

func toEnd(t *testing.T, c net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("after %q: %v", text, err)
	}
	return string(text)
}

// Requests for pending mounts wait, undecided, and the mounts that take their place answer them; a source finishes the requests that it
// has begun.
func TestPending(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		log := &logRecorder{}
		pool := backend.New(8, func(line string) { log.add(logfile.Error, line) })
		begun, gate := make(chan bool), make(chan bool)
		slow := pool.Add(backend.Func(func(w *backend.Response, _ *backend.Request) {
			begun <- true
			<-gate
			w.Start(exchange.Head{Status: 200, Length: -1})
			w.Write([]byte("slow"))
		}))
		rules := mustRules(t, sites.RuleOptions{Auth: mustAuth(t, "ann:secret")})
		early := []sites.Mount{
			fixedMount(t, "/fixed", "fixed"), {Prefix: "/slow", Handler: pool, Index: slow}, {Prefix: "/secret", Pending: true, Rules: rules}, {Pending: true},
		}
		s := serveSites(t, Config{Sites: sites.Config{StartWait: time.Hour, H2C: true}}, nil, sites.Site{Table: early})
		former := sends(t, s, "GET /slow HTTP/1.0\r\n\r\n")
		<-begun
		plain := sends(t, s, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /fixed HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		large := strings.Repeat("large", 1<<20)
		posted := s.dial(t)
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(posted, "POST /length HTTP/1.0\r\nContent-Length: 5242880\r\n\r\n"+large)
			sent <- err
		}()
		half := sends(t, s, "GET /half HTTP/1.0\r\n\r\n")
		half.CloseWrite()
		leaves := sends(t, s, "GET /leaves HTTP/1.0\r\n\r\n")
		secret := sends(t, s, "GET /secret/1 HTTP/1.0\r\n"+basic("ann", "secret")+"\r\n")
		if got := s.talk(t, "GET /secret/2 HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 401") {
			t.Errorf("without a password: %q", got)
		}
		eventually(t, "they wait", func() bool { return undecided(s) == 5 })
		leaves.SetLinger(0)
		leaves.Close()
		eventually(t, "one has left", func() bool { return undecided(s) == 4 })
		if got := s.talk(t, "GET /fixed HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nfixed") {
			t.Errorf("other paths: %q", got)
		}

		a := newApp(inline, func(c *call) {
			if c.Path == "/length" {
				c.reply(200, strings.Repeat("x", int(c.Size)/1024))
				return
			}
			c.reply(200, "app "+c.Peer.User+c.Path)
		})
		unused := make(chan bool)
		later := []sites.Mount{{Prefix: "/secret", Rules: rules}, fixedMount(t, "/fixed", "other"), {}}
		if err := s.Replace([]sites.Site{{Table: later}}, a, func() { close(unused) }); err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			c    net.Conn
			want string
		}{"plain": {plain, "app /a"}, "half": {half, "app /half"}, "secret": {secret, "app ann/1"}, "posted": {posted, strings.Repeat("x", 5120)}} {
			if got := toEnd(t, test.c); !strings.Contains(got, "\r\n\r\n"+test.want) {
				t.Errorf("%s: %.200q, want %.20q", name, got, test.want)
			} else if name == "plain" && !strings.HasSuffix(got, "\r\n\r\nother") {
				t.Errorf("behind it: %q", got)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		select {
		case <-unused:
			t.Error("told that nothing is left, while something is")
		default:
		}
		gate <- true
		if got := toEnd(t, former); !strings.HasSuffix(got, "\r\n\r\nslow") {
			t.Errorf("begun before: %q", got)
		}
		c := s.dial(t) // the time goes on while there are clients
		select {
		case <-unused:
		case <-time.After(patience):
			t.Error("not told that nothing is left")
		}
		c.Close()
		var handlers int
		s.do(func() { handlers = s.loop.app.Attached() })
		if handlers != 1 {
			t.Errorf("%d handlers", handlers)
		}
	})
}
