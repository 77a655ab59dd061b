package runtime

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/websocket/wstest"
)

type talk struct {
	app    *talkApp
	ticket exchange.Ticket
	head   string
	data   []byte
	ended  bool
}

type talkApp struct {
	echoing
	// called after the application has released a WebSocket
	lets  func(*talk)
	talks map[exchange.Ticket]*talk
	out   int
	notes string
}

func (a *talkApp) Submit(ticket exchange.Ticket, r *exchange.Request) bool {
	if a.talks[ticket] != nil {
		panic("a ticket is used twice at once")
	}
	t := &talk{app: a, ticket: ticket, head: string(r.Head)}
	a.talks[ticket] = t
	if r.Resumed != nil {
		a.notes += "resumed " + string(r.Resumed.Data)
	}
	t.add(exchange.Part{First: true, Head: exchange.Head{Then: accepting{a.server}}})
	return true
}

func (a *talkApp) Deliver(in exchange.Input) {
	t := a.talks[in.Ticket]
	switch in.Op {
	case exchange.OpClose:
		a.notes += "; closed"
		t.end()
	case exchange.OpHandOver:
		a.lets(t)
		t.add(exchange.Part{End: exchange.Complete, Op: exchange.OpHandOver, Body: t.data,
			Head: exchange.Head{Fields: []byte(t.head)}})
	default:
		t.data = bytes.Clone(in.Data)
		t.add(exchange.Part{Op: in.Op, Body: t.data})
		t.add(exchange.Part{Op: exchange.OpCredit, Number: int64(len(in.Data)) + exchange.InputCost})
	}
}

func (a *talkApp) Cancel(ticket exchange.Ticket, _ time.Duration) { a.talks[ticket].end() }

func (a *talkApp) Release(p *exchange.Part) {
	a.out--
	if p.Last() {
		delete(a.talks, p.Ref.(*talk).ticket)
	}
}

func (a *talkApp) idle() bool { return len(a.talks) == 0 && a.out == 0 }

func (t *talk) add(p exchange.Part) {
	if !t.ended {
		p.Ref, t.ended = t, p.Last()
		t.app.out++
		t.app.add(t.ticket, p)
	}
}

func (t *talk) end() {
	if !t.ended {
		t.app.notes += "; ended"
	}
	t.add(exchange.Part{End: exchange.Complete})
}

// The hand-over of a released WebSocket to another process fails because the client has disconnected, the state is too
// large, or no process accepts the WebSocket.
func TestHandlerThatReleasedASocketIsToldOfItsEnd(t *testing.T) {
	t.Parallel()
	errTaken := errors.New("nothing takes it")
	large := strings.Repeat("x", 4<<20)
	for _, test := range []struct {
		name  string
		lets  func(s *testServer, k *talk, c *wstest.Client) // called after the handler has released the WebSocket
		fails bool
		// close code that the client receives; 0 if it has disconnected
		code uint16
	}{
		{name: "left", lets: func(_ *testServer, k *talk, c *wstest.Client) {
			reset(c)
			k.add(exchange.Part{Op: exchange.OpText, Body: []byte("too late")})
		}},
		{name: "left in the middle of a message", lets: func(s *testServer, k *talk, c *wstest.Client) {
			k.add(exchange.Part{Op: exchange.OpText, Body: []byte(large)})
			s.loop.post(func() { reset(c) })
		}},
		{name: "too large", lets: func(_ *testServer, k *talk, _ *wstest.Client) { k.data = []byte(large) }, code: 1012},
		{name: "not taken", lets: func(*testServer, *talk, *wstest.Client) {}, fails: true, code: 1012},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := &talkApp{talks: map[exchange.Ticket]*talk{}}
			t.Cleanup(func() { checktest.Truef(t, a.idle(), "an exchange has not ended") })
			cfg := settled(Config{Channels: live.StreamConfig{Epoch: "e", HandOver: true}})
			s := start(t, cfg, a, exchange.Mount{Prefix: "/", Upgrades: exchange.ToMessages, Group: "all"})
			s.HoldHistory(time.Hour)
			c := checktest.Try(wstest.Dial(s.addr, "/")).Must(t)
			defer c.Conn.Close()
			c.SendText("state")
			_, got, err := c.Receive()
			checktest.Needf(t, err == nil && string(got) == "state", "%q, %v", got, err)
			s.do(func() { a.lets = func(k *talk) { test.lets(s, k, c) } })
			closed := make(chan error, 1)
			if test.code != 0 {
				go func() {
					_, _, err := c.Receive()
					closed <- err
				}()
			}
			var retired sync.WaitGroup
			retired.Go(func() { s.Retire(t.Context(), time.Second) })
			n, err := s.Sockets().Export(t.Context(), func(any, int) error {
				checktest.Truef(t, test.fails, "it was given away")
				return errTaken
			})
			checktest.Truef(t, n == 0 && test.fails == (err == errTaken), "%v %v", n, err)
			var frame *wstest.Closed
			if test.code != 0 {
				err := <-closed
				checktest.Truef(t, errors.As(err, &frame) && frame.Code == int(test.code), "the client got %v", err)
			}
			c.Conn.Close()
			retired.Wait()
			eventually(t, "the handler was told", func() (told bool) {
				s.do(func() { told = strings.HasSuffix(a.notes, "; ended") && a.idle() })
				return told
			})
			notes := a.notes
			checktest.Truef(t, strings.HasPrefix(notes, "resumed ") && strings.Count(notes, "resumed") == 1 &&
				(test.code != 0) == strings.Contains(notes, "closed"), "%.100q", notes)
		})
	}
}

func reset(c *wstest.Client) {
	tcp := c.Conn.(*net.TCPConn)
	tcp.SetLinger(0)
	tcp.Close()
}

// If the server retires while messages to a group of WebSockets are queued, it sends these messages without blocking
// the loop.
func TestWaitingMessagesPrecedeTheHandoverOfASocket(t *testing.T) {
	t.Parallel()
	const clients, messages = 50, 8000
	a := &talkApp{talks: map[exchange.Ticket]*talk{}, lets: func(*talk) {}}
	s := start(t, settled(Config{Channels: live.StreamConfig{Epoch: "e", HandOver: true}}), a,
		exchange.Mount{Prefix: "/", Upgrades: exchange.ToMessages, Group: "all"})
	for range clients {
		c := checktest.Try(wstest.Dial(s.addr, "/")).Must(t)
		defer c.Conn.Close()
		go io.Copy(io.Discard, c.Conn)
	}
	s.do(func() {
		for range messages {
			if err := s.Sockets().Broadcast(0, &live.GroupMessage{Group: "all", Data: "x"}); err != nil {
				t.Error(err)
			}
		}
		s.loop.leave(exchange.Leaving, time.Second)
		checktest.Truef(t, s.loop.sockets.Sending(), "the loop has sent all messages at once")
	})
	n, err := s.Sockets().Export(t.Context(), func(d any, _ int) error {
		seq := d.(*live.SocketState).Seq
		checktest.Truef(t, seq >= messages, "a WebSocket was handed over behind message %d", seq)
		return nil
	})
	checktest.Truef(t, n == clients && err == nil, "%v %v", n, err)
}
