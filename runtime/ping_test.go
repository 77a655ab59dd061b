package runtime

import (
	"context"
	"errors"
	"io"
	"testing"
)

// TestPing: the loop answers unless an inline handler holds it up.
func TestPing(t *testing.T) {
	t.Parallel()
	inside, release := make(chan bool), make(chan bool)
	a := newApp(true, func(c *call) {
		inside <- true
		<-release
		c.reply(200, "done")
	})
	s := serve(t, Config{}, a)
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	c := s.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a loop that is held up answers: %v", err)
	}
	release <- true
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
}
