package live_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// FAPWS_LIVE_RELOADS is the number of reloads (default 3).
func TestEachMessageReachesTheApplicationThroughReloads(t *testing.T) {
	t.Parallel()
	reloads := 3
	if n := os.Getenv("FAPWS_LIVE_RELOADS"); n != "" {
		var err error
		if reloads, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	s := fapwstest.Serve(t, fapwstest.Workers, "live.py")
	stop := make(chan struct{})
	var senders sync.WaitGroup
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
		p := &livePeer{t: t, s: s, path: path, stop: stop}
		senders.Go(func() {
			texts := p.sends()
			mu.Lock()
			defer mu.Unlock()
			said = append(said, texts...)
		})
	}
	for range reloads {
		s.Control("reload")
	}
	close(stop)
	senders.Wait()
	var lost []string
	arrived := func() bool {
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
	t.Logf("%d messages", len(said))
}

type livePeer struct {
	t    *testing.T
	s    *fapwstest.Server
	path string
	stop <-chan struct{}
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
		p.t.Errorf("%s cannot connect: %v", p.path, err)
		return nil
	}
	c.Conn.SetDeadline(time.Now().Add(2 * fapwstest.Patience))
	return c
}

func replaced(err error) bool {
	var closed *wstest.Closed
	return errors.As(err, &closed) && (closed.Code == 1012 || closed.Code == 1001)
}

// sends sends messages until the test ends. After a close frame from the server, sends answers with a close frame
// and opens a new connection.
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
			text := fmt.Sprintf("%s: %d", p.path, len(said))
			if err := c.SendText(text); err != nil {
				p.t.Errorf("%s cannot send: %v", p.path, err)
				return said
			}
			said = append(said, text)
			select {
			case err = <-closed:
			case <-time.After(300 * time.Microsecond):
			}
		}
		_ = c.WriteFrame(wstest.Fin|wstest.Close, nil)
		if err == nil {
			<-closed
		} else if !replaced(err) {
			p.t.Errorf("%s: %v", p.path, err)
		}
		if _, err := c.ReadFrame(); err == nil {
			p.t.Errorf("%s got a frame behind the close frame", p.path)
		}
		c.Conn.Close()
	}
	return said
}
