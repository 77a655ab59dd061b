package pybridge

import (
	"regexp"
	"strings"
	"testing"
)

// TestASGIChangedMessage: another thread replaces the values of a message while it is sent.
func TestASGIChangedMessage(t *testing.T) {
	body := asgi(t, "GET /changed", "").body.Bytes()
	if !regexp.MustCompile(`^(\d{4},)*$`).Match(body) {
		t.Errorf("%.200q", body)
	}
}

// TestASGISendElsewhere: other threads pass send() to the event loop of the application, and cannot await it themselves.
func TestASGISendElsewhere(t *testing.T) {
	body := asgi(t, "GET /elsewhere", "").body.String()
	same(t, strings.TrimLeft(body, "x"), "receive() and send() must be awaited on the thread that runs the application; use asyncio.run_coroutine_threadsafe")
	if n := strings.Count(body, "x"); n != 50*20000 {
		t.Error(n, "bytes")
	}
}
