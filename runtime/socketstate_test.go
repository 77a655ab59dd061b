package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/sites"
	"fapws/runtime/websocket/wstest"

	"golang.org/x/sys/unix"
)

// mover is a handler of WebSockets that can be handed over; those that were told to stay cannot.
func mover(t *testing.T, group string) (*testServer, *talkApp) {
	cfg := channelConfig()
	cfg.Channels.HandOver = true
	a := newTalkApp()
	a.resumes = func(k *talk) { a.note("resumed " + k.state) }
	a.handOver = func(k *talk) bool { return k.data != "stays" }
	a.message = func(k *talk, op exchange.Op, data []byte) {
		k.data = string(data)
		k.send(op, data)
	}
	s := serveTalks(t, cfg, a, sites.Mount{Prefix: "/", WebSocket: true, Group: group})
	s.HoldHistory(time.Hour)
	return s, a
}

// moves retires a server and hands its WebSockets over to another one, through JSON.
func moves(t *testing.T, from, to *testServer) (n int) {
	t.Helper()
	var retired sync.WaitGroup
	retired.Go(func() { from.Retire(t.Context(), time.Second) })
	n, err := from.Sockets().Export(t.Context(), func(d *live.SocketState, fd int) error {
		text, err := json.Marshal(d)
		if err != nil {
			return err
		}
		got := new(live.SocketState)
		if err := json.Unmarshal(text, got); err != nil {
			return err
		}
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if to.Sockets().Import(got, own) != nil { // this is the client's
			to.Sockets().Dismiss(own)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	retired.Wait()
	return n
}

// TestSocketsStay: what cannot be handed over is closed with 1012, and its handler is told.
func TestSocketsStay(t *testing.T) {
	t.Parallel()
	old, a := mover(t, "all")
	young, _ := mover(t, "another")
	old.do(func() {
		a.ends = func(k *talk, code uint16, reason string) {
			a.note(fmt.Sprint(k.data, " ended with ", code))
			k.end(false)
		}
	})
	stays, moves1 := old.socket(t), old.socket(t)
	saysBack(t, stays, "stays")
	saysBack(t, moves1, "moves")
	closed := make(chan error, 2)
	for _, c := range []*wstest.Client{stays, moves1} {
		go func() {
			_, _, err := c.Receive() // it answers the close frame
			closed <- err
		}()
	}
	if n := moves(t, old, young); n != 1 {
		t.Errorf("%d WebSockets were handed over", n)
	}
	for range 2 {
		var frame *wstest.Closed
		if err := <-closed; !errors.As(err, &frame) || frame.Code != 1012 {
			t.Error(err)
		}
	}
	eventually(t, "the handler was told", func() bool { return a.notes() == "stays ended with 1012" })
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
			s, a := mover(t, "all")
			c := s.socket(t)
			saysBack(t, c, "state")
			s.do(func() {
				a.handOver = func(k *talk) bool {
					test.lets(s, k, c)
					return true
				}
				a.ends = func(k *talk, code uint16, _ string) {
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
			n, err := s.Sockets().Export(t.Context(), func(*live.SocketState, int) error {
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

// TestSocketRefused: a client whose WebSocket no server takes over gets its close frame, which no RST may destroy: what the client has sent is
// read until it closes.
func TestSocketRefused(t *testing.T) {
	t.Parallel()
	old, _ := mover(t, "all")
	young, _ := mover(t, "another")
	c := old.socket(t)
	saysBack(t, c, "hello")
	moved := make(chan int)
	go func() {
		n, _ := old.Sockets().Export(t.Context(), func(d *live.SocketState, fd int) error {
			if _, err := c.Conn.Write(c.AppendFrame(nil, wstest.Fin|wstest.Text, []byte("unread"))); err != nil {
				t.Error(err)
			}
			own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if young.Sockets().Import(d, own) == nil {
				t.Error("it was taken")
			}
			young.Sockets().Dismiss(own)
			return nil
		})
		moved <- n
	}()
	// Not by Receive, which answers: an error of that would hide the RST.
	if got, err := io.ReadAll(c.Conn); string(got) != "\x88\x02\x03\xf4" || err != nil {
		t.Errorf("%x, %v instead of a close frame with 1012 and the end", got, err)
	}
	if n := <-moved; n != 1 {
		t.Errorf("%d were given away", n)
	}
}

// reset closes the connection of a client so that its server sees an error.
func reset(c *wstest.Client) {
	tcp := c.Conn.(*net.TCPConn)
	tcp.SetLinger(0)
	tcp.Close()
}
