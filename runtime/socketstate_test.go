package runtime

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/sites"
	"fapws/runtime/websocket/wstest"
)

// mover is a handler of WebSockets that can be handed over; those that were told to stay cannot.
func mover(t *testing.T) (*testServer, *talkApp) {
	a := newTalkApp()
	a.resumes = func(k *talk) { a.note("resumed " + k.state) }
	a.handOver = func(k *talk) bool { return k.data != "stays" }
	a.message = func(k *talk, op exchange.Op, data []byte) {
		k.data = string(data)
		k.send(op, data)
	}
	t.Cleanup(func() { // when the server has closed
		if !a.idle() {
			t.Error("an exchange has not ended")
		}
	})
	cfg := settled(Config{Channels: live.StreamConfig{Epoch: "e", HandOver: true}})
	s := start(t, cfg, a, sites.Mount{Prefix: "/", WebSocket: true, Group: "all"})
	s.HoldHistory(time.Hour)
	return s, a
}

// TestSocketsTakenBack: a handler that has let go of a WebSocket is told of its end, if it is not handed over: because its client has
// left, because there is too much to hand over, or because nothing takes it.
func TestSocketsTakenBack(t *testing.T) {
	t.Parallel()
	errTaken := errors.New("nothing takes it")
	large := strings.Repeat("x", 4<<20) // more than the kernels keep
	for _, test := range []struct {
		name  string
		lets  func(s *testServer, k *talk, c *wstest.Client) // what happens when the handler has let go
		fails bool                                           // giving does
		code  uint16                                         // that the client gets, 0: it has left
	}{
		{name: "left", lets: func(_ *testServer, k *talk, c *wstest.Client) {
			reset(c)
			k.send(exchange.OpText, []byte("too late"))
		}},
		{name: "left in the middle of a message", lets: func(s *testServer, k *talk, c *wstest.Client) {
			k.send(exchange.OpText, []byte(large))
			s.loop.post(func() { reset(c) }) // when the loop has written some of it
		}},
		{name: "too large", lets: func(_ *testServer, k *talk, _ *wstest.Client) { k.data = large }, code: 1012},
		{name: "not taken", lets: func(*testServer, *talk, *wstest.Client) {}, fails: true, code: 1012},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, a := mover(t)
			c := s.socket(t)
			c.SendText("state")
			if _, got, err := c.Receive(); err != nil || string(got) != "state" {
				t.Fatalf("%q, %v", got, err)
			}
			s.do(func() {
				a.handOver = func(k *talk) bool {
					test.lets(s, k, c)
					return true
				}
				a.ends = func(k *talk) {
					a.note("ended")
					k.end(false)
				}
				a.cancelled = func(k *talk) {
					if !k.ended {
						a.note("ended")
					}
				}
			})
			closed := make(chan error, 1)
			if test.code != 0 {
				go func() {
					_, _, err := c.Receive() // it answers the close frame
					closed <- err
				}()
			}
			var retired sync.WaitGroup
			retired.Go(func() { s.Retire(t.Context(), time.Second) })
			n, err := s.Sockets().Export(t.Context(), func(any, int) error {
				if !test.fails {
					t.Error("it was given away")
				}
				return errTaken
			})
			if n != 0 || test.fails != (err == errTaken) {
				t.Error(n, err)
			}
			var frame *wstest.Closed
			if test.code != 0 {
				if err := <-closed; !errors.As(err, &frame) || frame.Code != int(test.code) {
					t.Errorf("the client got %v", err)
				}
			}
			c.Conn.Close()
			retired.Wait()
			eventually(t, "the handler was told", func() bool { return strings.HasSuffix(a.notes(), "ended") && a.idle() })
			if notes := a.notes(); !strings.HasPrefix(notes, "resumed ") || strings.Count(notes, "resumed") != 1 {
				t.Errorf("%.100q", notes)
			}
		})
	}
}

// reset closes the connection of a client so that its server sees an error.
func reset(c *wstest.Client) {
	tcp := c.Conn.(*net.TCPConn)
	tcp.SetLinger(0)
	tcp.Close()
}
