package proxy

import (
	"bytes"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/live"
	"fapws/runtime/websocket"
)

// tunnel starts a tunnel after the upstream has responded with status 101.
func (peer *upstream) tunnel(w *backend.Response, r *backend.Request, response *http.Response, c *connection) {
	if wrong := switches(response, r); wrong != "" {
		peer.complain(r.Client(), "its answer to a request for a WebSocket is 101 %s", wrong)
		w.Refuse(502, "")
		return
	}
	head, ok := peer.head(w, r, response)
	if !ok {
		return
	}
	head.Fields = append([]byte("Upgrade: websocket\r\nConnection: Upgrade\r\n"), head.Fields...)
	ahead, _ := c.in.Peek(c.in.Buffered())
	t := &live.Tunnel{Ahead: bytes.Clone(ahead), Idle: max(0, peer.opt.TunnelTimeout)}
	client := r.Client()
	t.Ended = func(err error) { peer.complain(client, "WebSocket closed: %v", err) }
	if !c.unbind() {
		w.Refuse(502, "") // the client has disconnected
		return
	}
	var err error
	if t.Upstream, err = conn.NewUpstream(c.under, c.secure); err != nil {
		peer.complain(r.Client(), "no tunnel for a WebSocket: %v", err)
		w.Refuse(503, "")
		return
	}
	head.Then = t
	w.Start(head)
}

// switches returns why a 101 is invalid, or "" if it is valid (RFC 6455 §4.1, RFC 9110 §7.8).
func switches(response *http.Response, r *backend.Request) string {
	h := response.Header
	accept := websocket.AcceptKey([]byte(r.Field("Sec-WebSocket-Key")))
	switch {
	case len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket"):
		return "without Upgrade: websocket"
	case !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade"):
		return "without Connection: Upgrade"
	case len(h["Sec-Websocket-Accept"]) != 1 || h["Sec-Websocket-Accept"][0] != string(accept[:]):
		return "without a valid Sec-WebSocket-Accept"
	}
	return ""
}
