package live_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// FAPWS_LIVE_RELOADS is the number of reloads (default 3).
func TestEachMessageReachesTheApplicationThroughReloads(t *testing.T) {
	t.Parallel()
	reloads := fapwstest.Amount(t, "FAPWS_LIVE_RELOADS", 3)
	s := fapwstest.Serve(t, fapwstest.Workers, "live.py")
	ctx, stop := context.WithCancel(t.Context())
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
		senders.Go(func() {
			texts := sendsUntil(ctx, s, path)
			mu.Lock()
			defer mu.Unlock()
			said = append(said, texts...)
		})
	}
	for range reloads {
		s.Control("reload")
	}
	stop()
	senders.Wait()
	fapwstest.Eventually(t, fmt.Sprintf("the %d messages arrive", len(said)), func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(said, func(text string) bool { return !heard[text] })
	})
	t.Logf("%d messages", len(said))
}

func replaced(err error) bool {
	var closed *wstest.Closed
	return errors.As(err, &closed) && (closed.Code == 1012 || closed.Code == 1001)
}

// sendsUntil sends messages to a WebSocket until ctx is canceled, and returns these messages. After a close frame from
// the server, sendsUntil answers with a close frame and opens a new connection.
func sendsUntil(ctx context.Context, s *fapwstest.Server, path string) (said []string) {
	t := s.T
	for ctx.Err() == nil {
		c, err := wstest.Dial(s.Address, path)
		if err != nil {
			t.Errorf("%s cannot connect: %v", path, err)
			return said
		}
		c.Conn.SetDeadline(time.Now().Add(2 * fapwstest.Patience))
		closed := make(chan error, 1)
		go func() {
			f, err := c.ReadFrame()
			if err == nil {
				code, _ := f.Code()
				err = &wstest.Closed{Code: code}
			}
			closed <- err
		}()
		for err == nil && ctx.Err() == nil {
			text := fmt.Sprintf("%s: %d", path, len(said))
			if err := c.SendText(text); err != nil {
				t.Errorf("%s cannot send: %v", path, err)
				return said
			}
			said = append(said, text)
			select {
			case err = <-closed:
			case <-time.After(5 * time.Millisecond):
			}
		}
		_ = c.WriteFrame(wstest.Fin|wstest.Close, nil)
		if err == nil {
			<-closed
		} else if !replaced(err) {
			t.Errorf("%s: %v", path, err)
		}
		_, err = c.ReadFrame()
		fapwstest.Truef(t, err != nil, "%s got a frame behind the close frame", path)
		c.Conn.Close()
	}
	return said
}
