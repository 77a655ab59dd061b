package pybridge

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
)

const socketApp = 7 // in applications

// talk is the received data of a WebSocket client.
type talk struct {
	mu       sync.Mutex
	news     sync.Cond
	on       bool
	open     bool
	protocol string
	messages []string // "text x", "binary x", "close 1000 x"
	credit   int64
	ended    string // why nothing more will come, or ""
}

// hear takes a part of a WebSocket, unless it is the last one.
func (k *talk) hear(p *exchange.Part) bool {
	if !k.on {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.news.L = &k.mu
	switch {
	case p.First:
		k.open, k.protocol = p.Head.WebSocket, string(p.Head.Subprotocol)
	case p.Op == exchange.OpText:
		k.messages = append(k.messages, "text "+string(p.Body))
	case p.Op == exchange.OpBinary:
		k.messages = append(k.messages, "binary "+string(p.Body))
	case p.Op == exchange.OpClose:
		k.messages = append(k.messages, fmt.Sprintf("close %d %s", p.Code, p.Body))
	case p.Op == exchange.OpCredit:
		k.credit += p.Credit
	}
	k.news.Broadcast()
	return !p.Last
}

func (k *talk) over(why string) {
	k.mu.Lock()
	k.ended = why
	k.news.L = &k.mu
	k.news.Broadcast()
	k.mu.Unlock()
}

// wait returns when ready says so, or fails.
func (k *talk) wait(t *testing.T, what string, ready func() bool) {
	t.Helper()
	late := time.AfterFunc(generous, func() { k.over("nothing came in time") })
	defer late.Stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.news.L = &k.mu
	for !ready() {
		if k.ended != "" {
			t.Fatalf("%s: %s; messages %q", what, k.ended, k.messages)
		}
		k.news.Wait()
	}
}

// next waits for a message.
func (k *talk) next(t *testing.T) string {
	t.Helper()
	var first string
	k.wait(t, "a message", func() bool { // with the mutex: others are appended meanwhile
		if len(k.messages) == 0 {
			return false
		}
		first, k.messages = k.messages[0], k.messages[1:]
		return true
	})
	return first
}

// dialSocket asks for a WebSocket.
func dialSocket(t *testing.T, path string, fields ...string) *response {
	t.Helper()
	mounts := loop.app.Mounts(socketApp)
	r := &response{talk: talk{on: true}}
	loop.do(func() { loop.change = func(q *exchange.Request) { q.WebSocket = true } })
	loop.submitAs(t, r, func(p string) (int, int) {
		for _, m := range mounts {
			if strings.HasPrefix(p, m.Prefix) {
				return m.Index, len(m.Prefix)
			}
		}
		t.Fatal("no mount for", p)
		return 0, 0
	}, "GET "+path, nil, -1, fields...)
	loop.do(func() { loop.change = nil })
	return r
}

// openSocket is dialSocket for one that must be accepted.
func openSocket(t *testing.T, path string, fields ...string) *response {
	t.Helper()
	r := dialSocket(t, path, fields...)
	r.talk.wait(t, "101", func() bool { return r.talk.open })
	return r
}

// tell delivers messages.
func tell(r *response, op exchange.Op, code uint16, texts ...string) {
	loop.do(func() {
		for _, text := range texts {
			loop.h.Deliver(exchange.Input{Ticket: r.ticket, Op: op, Code: code, Data: []byte(text)})
		}
		loop.h.Flush()
		loop.drain()
	})
}

func texts(r *response, list ...string) { tell(r, exchange.OpText, 0, list...) }

func leaveSocket(t *testing.T, r *response, code uint16, reason string) {
	t.Helper()
	tell(r, exchange.OpClose, code, reason)
	<-r.done
}

func noted(t *testing.T) string {
	t.Helper()
	return loop.ask(t, loop.app.Mounts(socketApp)[3].Index, "/log").body.String()
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWebSocketIsRefused(t *testing.T) {
	noted(t)
	for _, c := range []struct {
		path   string
		fields []string
		status int
		body   string
		log    string
	}{
		{path: "/talk?false", status: 403, log: "open false"},
		{path: "/talk?reject", status: 401, body: "who are you?", log: "open reject"},
		{path: "/talk?http", status: 404, body: "no such room", log: "open http"},
		{path: "/talk?raise", status: 500, log: "open raise; close 1011 "},
		{path: "/talk?x", fields: []string{"Origin: https://evil.example"}, status: 403, body: "evil"},
		{path: "/talk?x", fields: []string{"Origin: null"}, status: 403},
		{path: "/mute", fields: []string{"Origin: http://example.org:81"}, status: 403},
		{path: "/mute", fields: []string{"Origin: http://example.org.evil.example"}, status: 403},
		{path: "/mute", fields: []string{"Origin: http://user@example.org"}, status: 403},
		{path: "/talk?x", fields: []string{"Origin: http://a.example.net"}, status: 403},
	} {
		var r *response
		captured(t, func() {
			r = dialSocket(t, c.path, c.fields...)
			<-r.done
		})
		if r.head.Status != c.status || r.head.WebSocket || !strings.Contains(r.body.String(), c.body) {
			t.Errorf("%s %s: %d %q, want %d", c.path, c.fields, r.head.Status, r.body.String(), c.status)
		}
		if got := noted(t); got != c.log {
			t.Errorf("%s %s: %q, want %q", c.path, c.fields, got, c.log)
		}
	}
	for _, origin := range []string{"http://example.org", "https://example.org", "HTTPS://EXAMPLE.ORG:443", "https://a.b.example.net"} {
		r := openSocket(t, "/talk?x", "Origin: "+origin)
		leaveSocket(t, r, 1000, "")
	}
}

func TestWebSocketSpeaksFirst(t *testing.T) {
	noted(t)
	r := openSocket(t, "/talk?hello")
	expect(t, r.talk.next(t), "text hello")
	texts(r, "attributes")
	expect(t, r.talk.next(t), "text None False  namespace(name='somebody') True")
	leaveSocket(t, r, 1005, "")
	r = openSocket(t, "/talk?close")
	<-r.done
	expect(t, strings.Join(r.talk.messages, ";"), "close 4001 not today")
	r = openSocket(t, "/talk?sent+false")
	<-r.done
	expect(t, strings.Join(r.talk.messages, ";"), "text hello;close 1008 ")
	expect(t, noted(t), "open hello; close 1005 ; open close; close 4001 not today; open sent+false; close 1008 ")
}

func TestWebSocketEndsHere(t *testing.T) {
	noted(t)
	r := openSocket(t, "/talk")
	texts(r, "close", "not heard")
	<-r.done
	expect(t, strings.Join(r.talk.messages, ";"), "close 4002 as you wish")
	expect(t, noted(t), "open ; send: BrokenPipeError the WebSocket is closed; close 4002 as you wish")

	r = openSocket(t, "/talk")
	said := captured(t, func() {
		texts(r, "raise", "not heard")
		<-r.done
	})
	expect(t, strings.Join(r.talk.messages, ";"), "close 1011 ")
	if strings.Count(said, "Traceback") != 1 || !strings.Contains(said, "error in on_message of handler") || !strings.Contains(said, "on_message fails") {
		t.Error("the log has", said)
	}
	said = captured(t, func() {
		r = openSocket(t, "/talk")
		leaveSocket(t, r, 1000, "raise")
	})
	if !strings.Contains(said, "error in on_close of handler") {
		t.Error("the log has", said)
	}
	expect(t, noted(t), "open ; close 1011 ; open ; close 1000 raise")
}

func TestWebSocketChecksArguments(t *testing.T) {
	noted(t)
	r := openSocket(t, "/talk")
	texts(r, "types", "on")
	expect(t, r.talk.next(t), "text on")
	leaveSocket(t, r, 1000, "")
	expect(t, noted(t), "open ; TypeError; TypeError; TypeError; UnicodeEncodeError; ValueError 999; ValueError 1005; ValueError 1006; ValueError 1015; "+
		"ValueError 2000; ValueError 5000; ValueError 1000; RuntimeError; close 1000 ")
}

// TestWebSocketOrder: one callback at a time for each WebSocket, others meanwhile.
func TestWebSocketOrder(t *testing.T) {
	if loop.inline() {
		return // one after the other, by definition
	}
	noted(t)
	a, b := openSocket(t, "/talk"), openSocket(t, "/talk")
	texts(a, "wait", "second")
	texts(b, "meanwhile")
	expect(t, b.talk.next(t), "text meanwhile")
	a.talk.mu.Lock()
	if len(a.talk.messages) > 0 {
		t.Error("it did not wait:", a.talk.messages)
	}
	a.talk.mu.Unlock()
	loop.ask(t, loop.app.Mounts(socketApp)[4].Index, "/gate")
	expect(t, a.talk.next(t), "text wait")
	expect(t, a.talk.next(t), "text second")
	leaveSocket(t, a, 1000, "")
	leaveSocket(t, b, 1000, "")
}

// TestWebSocketGivesCredit: a client that is not read any more beyond the window is
// read again in the end, whatever the sizes of its messages are.
func TestWebSocketGivesCredit(t *testing.T) {
	for _, size := range []int{0, 1, 100, 5000, 60000, 1 << 20} {
		r := openSocket(t, "/mute")
		given := int64(0)
		for given < 4*exchange.InputWindow {
			r.talk.mu.Lock()
			out := given - r.talk.credit
			r.talk.mu.Unlock()
			if out > exchange.InputWindow { // the loop stops reading, until half has come back
				r.talk.wait(t, fmt.Sprint("credit for messages of ", size), func() bool { return given-r.talk.credit < exchange.InputWindow/2 })
			}
			tell(r, exchange.OpBinary, 0, strings.Repeat("x", size))
			given += int64(size) + exchange.InputCost
		}
		leaveSocket(t, r, 1000, "")
		if r.talk.credit > given {
			t.Errorf("%d bytes came back of %d", r.talk.credit, given)
		}
	}
}

// TestWebSocketLeavesNothing: nothing stays of websockets that have ended.
func TestWebSocketLeavesNothing(t *testing.T) {
	round := func(n int) {
		for i := range n {
			r := openSocket(t, "/talk?hello", fmt.Sprint("X-Number: ", i))
			texts(r, "one", "two", strings.Repeat("x", 20000))
			for range 4 {
				r.talk.next(t)
			}
			if i%2 == 0 {
				leaveSocket(t, r, 1000, "")
			} else {
				loop.do(func() { loop.h.Cancel(r.ticket, 0); loop.h.Flush(); loop.drain() })
				<-r.done
			}
		}
		noted(t)
	}
	alive := func() (objects int) {
		t.Helper()
		text := loop.ask(t, loop.app.Mounts(socketApp)[5].Index, "/alive").body.String()
		if _, err := fmt.Sscanf(text, "0 0 %d", &objects); err != nil {
			t.Error(text, "websockets live on")
		}
		return objects
	}
	round(10)
	before := alive()
	round(200)
	if more := alive() - before; more >= 200 {
		t.Errorf("%d more objects after 200 websockets", more)
	}
}
