package pybridge

import (
	"strings"
	"testing"
)

// TestASGISendElsewhere: other threads pass send() to the event loop of the application, and cannot await it themselves.
func TestASGISendElsewhere(t *testing.T) {
	body := asgi(t, "GET /elsewhere", "").body.String()
	same(t, strings.TrimLeft(body, "x"), "receive() and send() must be awaited on the thread that runs the application; use asyncio.run_coroutine_threadsafe")
	if n := strings.Count(body, "x"); n != 50*20000 {
		t.Error(n, "bytes")
	}
}
