package runtime

import (
	"net"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/source/app"
)

// A failing handler answers requests for /wait when the test has moved them to the field finished. Its work for other
// paths panics.
type failing struct {
	instant
	finished []finished
	waiting  []exchange.Ticket
	late     map[exchange.Ticket]bool
}

type finished struct {
	t exchange.Ticket
	p exchange.Part
}

var hello = exchange.Part{First: true, End: exchange.Complete, Body: []byte("hello"),
	Head: exchange.Head{Status: 200, Length: 5}}

func (h *failing) Submit(t exchange.Ticket, r *exchange.Request) bool {
	broken := hello
	broken.Head.Then = h
	switch string(r.Path) {
	case "/wait", "/full":
		h.waiting = append(h.waiting, t)
	case "/part":
		h.finished = append(h.finished, finished{t, broken})
	case "/published":
		go r.Services.Publish(t, &broken)
	case "/late":
		h.late[t] = true
	default:
		panic("in Submit")
	}
	return true
}

func (h *failing) Continue(*exchange.Exchange, *exchange.Part) exchange.ThenOutcome {
	panic("in Continue")
}

func (h *failing) Cancel(t exchange.Ticket, took time.Duration) {
	if h.late[t] && took > 0 {
		panic("in Cancel")
	}
}

func (h *failing) Next(p *exchange.Part) (t exchange.Ticket, ok bool) {
	if len(h.finished) == 0 {
		return 0, false
	}
	next := h.finished[0]
	h.finished = h.finished[1:]
	*p = next.p
	return next.t, true
}

// A failingSource panics after work on another goroutine.
type failingSource struct{ exchange.Memory }

func (failingSource) Start(x *exchange.Exchange) {
	x.Offload(func() {}, func(bool) { panic("after Offload") })
}

func (failingSource) OnGone(x *exchange.Exchange) { x.Stop(true) }

func TestPanicInWorkForAClientClosesOnlyItsConnection(t *testing.T) {
	for path, text := range map[string]string{
		"/part": "in Continue", "/published": "in Continue", "/late": "in Cancel", "/offload": "after Offload",
		"/gate": "in Submit", "/submit": "in Submit",
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			const others = 49
			h, rec := &failing{late: map[exchange.Ticket]bool{}}, &logRecorder{}
			cfg := patient(Config{Log: rec.add})
			gate := app.NewGate(1)
			late := &exchange.Rules{}
			late.Timeout = time.Millisecond
			s := start(t, cfg, h, exchange.Mount{Prefix: "/offload", Source: failingSource{}},
				exchange.Mount{Prefix: "/late", Rules: late}, exchange.Mount{Prefix: "/full", Gate: gate.Limit},
				exchange.Mount{Prefix: "/gate", Gate: gate.Limit}, exchange.Mount{Prefix: "/"})
			ask := func(path string) net.Conn {
				c := s.dial(t)
				_, err := c.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
				checktest.Must(t, err)
				return c
			}
			var waiting []net.Conn
			for range others {
				waiting = append(waiting, ask("/wait"))
			}
			full := ask("/full")
			arrived := func(n int) {
				eventually(t, "the requests arrive", func() (all bool) {
					s.do(func() { all = len(h.waiting) == n })
					return all
				})
			}
			arrived(others + 1)
			broken := ask(path)
			answer := func(t exchange.Ticket) { h.finished = append(h.finished, finished{t, hello}) }
			last := func() (t exchange.Ticket) {
				t, h.waiting = h.waiting[others], h.waiting[:others]
				return t
			}
			if path == "/gate" {
				eventually(t, "the request waits", func() (waits bool) {
					s.do(func() { waits = s.loop.sites.Active() == others+2 })
					return waits
				})
				s.do(func() { answer(last()) })
			}
			eventually(t, "a bug is logged", func() bool { return strings.Contains(rec.String(), "bug: "+text) })
			readAll(broken)
			s.do(func() {
				for _, t := range h.waiting {
					answer(t)
				}
			})
			for _, c := range append(waiting, full) {
				got := readAll(c)
				checktest.Truef(t, strings.HasSuffix(got, "hello"), "%q", got)
			}
			if strings.HasPrefix(text, "in Submit") {
				eventually(t, "all tickets are free", func() (idle bool) {
					s.do(func() { idle = s.loop.app.Idle() && s.loop.sites.Active() == 0 })
					return idle
				})
			}
		})
	}
}

func readAll(c net.Conn) string {
	var all strings.Builder
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		all.Write(b[:n])
		if err != nil {
			return all.String()
		}
	}
}
