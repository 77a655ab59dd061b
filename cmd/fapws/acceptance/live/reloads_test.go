package live_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// TestLiveThroughReloads has clients that wait for the answer to a message, and clients that
// only send, while workers are replaced again and again. Each message is answered, or the client
// gets a close frame instead; and each message that was sent before the client saw a close frame
// reaches the application. FAPWS_LIVE_RELOADS is the number of reloads (default 3).
func TestLiveThroughReloads(t *testing.T) {
	t.Parallel()
	reloads := 3
	if n := os.Getenv("FAPWS_LIVE_RELOADS"); n != "" {
		var err error
		if reloads, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	s := fapwstest.Serve(t, fapwstest.Workers, "live.py")
	front := fapwstest.ServeProxy(t, s.URL, "", "--workers", "2", "--graceful-timeout", "10m") // tunnels stay with the worker that has them
	stop := make(chan struct{})
	var clients, senders sync.WaitGroup

	var counts []*liveCount
	for _, place := range []struct {
		name, path string
		s          *fapwstest.Server
	}{
		{"callbacks", "/echo", s}, {"broadcasts", "/room", s}, {"asgi", "/asgi", s},
		{"tunnel", "/echo", front}, {"tunnel to broadcasts", "/room", front},
	} {
		count := &liveCount{name: place.name}
		counts = append(counts, count)
		for i := range 2 {
			p := &livePeer{t: t, s: place.s, path: place.path, name: fmt.Sprintf("%s %d", place.name, i), count: count, stop: stop}
			clients.Go(func() { p.asks(i%2 == 0) })
		}
	}

	var mu sync.Mutex
	heard := map[string]bool{}
	events := listen(s, "/news")
	go func() {
		for e, err := events.next(); err == nil; e, err = events.next() {
			mu.Lock()
			heard[e.data] = true
			mu.Unlock()
		}
	}()
	var said []string
	for _, path := range []string{"/say", "/asgi/say"} {
		count := &liveCount{name: path}
		counts = append(counts, count)
		p := &livePeer{t: t, s: s, path: path, name: path, count: count, stop: stop}
		senders.Go(func() {
			texts := p.sends()
			mu.Lock()
			defer mu.Unlock()
			said = append(said, texts...)
		})
	}

	for range reloads {
		for _, one := range []*fapwstest.Server{s, front} {
			if code, stdout, stderr := one.Ctl("reload"); code != 0 {
				t.Errorf("reload: code %d, %s%s", code, stdout, stderr)
			}
		}
	}
	close(stop)
	clients.Wait()
	senders.Wait()
	for _, count := range counts {
		t.Logf("%s: %d messages, %d close frames", count.name, count.messages.Load(), count.closed.Load())
	}

	var lost []string
	arrived := func() bool { // the callbacks of a worker that has been replaced may still run
		mu.Lock()
		defer mu.Unlock()
		lost = slices.DeleteFunc(slices.Clone(said), func(text string) bool { return heard[text] })
		return len(lost) == 0
	}
	for end := time.Now().Add(fapwstest.Patience); !arrived(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d messages of %d are lost: %q", len(lost), len(said), lost[:min(len(lost), 20)])
		}
	}
}

type liveCount struct {
	name             string
	messages, closed atomic.Int64
}

// livePeer is a client that reconnects when the close code says that its worker is replaced.
type livePeer struct {
	t          *testing.T
	s          *fapwstest.Server
	path, name string
	count      *liveCount
	stop       <-chan struct{}
}

func (p *livePeer) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

func (p *livePeer) connect() *wstest.Client {
	c, err := wstest.Dial(p.s.Address, p.path)
	if err != nil {
		p.t.Errorf("%s cannot connect: %v", p.name, err)
		return nil
	}
	c.Conn.SetDeadline(time.Now().Add(2 * fapwstest.Patience))
	return c
}

// replaced reports whether err is the close frame of a worker that stops.
func replaced(err error) bool {
	var closed *wstest.Closed
	return errors.As(err, &closed) && (closed.Code == 1012 || closed.Code == 1001)
}

// asks sends messages, one after the other, and waits for each to come back. One that does not
// stay closes after each, and waits for the close frame of the server.
func (p *livePeer) asks(stays bool) {
	for n := 0; !p.stopped(); {
		c := p.connect()
		if c == nil {
			return
		}
		var err error
		for err == nil && !p.stopped() {
			n++
			if err = p.asksFor(c, fmt.Sprintf("%s: %d", p.name, n)); !stays {
				break
			}
			time.Sleep(time.Millisecond) // the reload needs the processor, too
		}
		if err == nil {
			if _, err = c.CloseWith(1000, ""); err == nil {
				continue // with whatever code: both may have closed at the same time
			}
		}
		c.Conn.Close()
		if !replaced(err) {
			p.t.Errorf("%s, message %d: %v", p.name, n, err)
			return
		}
		p.count.closed.Add(1)
	}
}

// asksFor sends text and waits until it comes back.
func (p *livePeer) asksFor(c *wstest.Client, text string) error {
	c.Conn.SetDeadline(time.Now().Add(fapwstest.Patience))
	if err := c.SendText(text); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return err // else there is a close frame to be read
	}
	for {
		_, got, err := c.Receive()
		if err != nil {
			return err
		}
		if string(got) == text {
			p.count.messages.Add(1)
			return nil
		}
	}
}

// sends sends messages until it sees a close frame, which it answers behind the last one, and
// goes on with another connection. It returns the messages that it has sent.
func (p *livePeer) sends() (said []string) {
	for !p.stopped() {
		c := p.connect()
		if c == nil {
			return said
		}
		closed := make(chan error, 1)
		go func() {
			f, err := c.ReadFrame()
			if err == nil {
				code, _ := f.Code()
				err = &wstest.Closed{Code: code}
			}
			closed <- err
		}()
		var err error
		for err == nil && !p.stopped() {
			text := fmt.Sprintf("%s: %d", p.name, len(said))
			if err := c.SendText(text); err != nil {
				p.t.Errorf("%s cannot send: %v", p.name, err)
				return said
			}
			said = append(said, text)
			p.count.messages.Add(1)
			select {
			case err = <-closed:
			case <-time.After(100 * time.Microsecond):
			}
		}
		_ = c.WriteFrame(wstest.Fin|wstest.Close, nil)
		if err == nil {
			<-closed
		} else if p.count.closed.Add(1); !replaced(err) {
			p.t.Errorf("%s: %v", p.name, err)
		}
		if _, err := c.ReadFrame(); err == nil { // the worker is done with the connection
			p.t.Errorf("%s got a frame behind the close frame", p.name)
		}
		c.Conn.Close()
	}
	return said
}
