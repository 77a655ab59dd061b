package live_test

import (
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const plainRequests = `
async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": scope["method"].encode()})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close"})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REQUEST_METHOD"].encode()]
`

func TestRequestWithoutAValidWebSocketHandshakeIsAPlainRequest(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, filepath.Join(t.TempDir(), "plain.py"), plainRequests)
	const fields = "Host: a\r\nUpgrade: websocket\r\n" +
		"" +
		"" +
		"" +
		"" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, application := range []string{"asgi", "wsgi"} {
		s := fapwstest.Serve(t, fapwstest.Threads, script+":"+application)
		for _, head := range []string{
			"GET / HTTP/1.0\r\nConnection: Upgrade\r\n",
			"GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
			"GET / HTTP/1.1\r\n",
			"GET / HTTP/1.1\r\nConnection: keep-alive\r\n",
			"POST / HTTP/1.1\r\nConnection: Upgrade\r\nContent-Length: 2\r\n",
			"PUT / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nContent-Length: 2\r\n",
		} {
			method, _, _ := strings.Cut(head, " ")
			body := ""
			if method != "GET" {
				body = "ab"
			}
			s.Ask(head+fields+"\r\n"+body).Is(t, method)
		}
		if application == "asgi" {
			s.Ask("GET / HTTP/1.1\r\nConnection: Upgrade\r\n"+fields+"\r\n").Want(t, 403)
		}
	}
}
