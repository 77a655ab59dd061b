package proxy

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/websocket"
)

// upgrade passes on a request for a WebSocket. It has a connection of its own, which
// is never one of those that are kept for others, before or after: what the server has
// answered decides what the bytes that follow are, and it alone knows whether it is of
// the same opinion.
func (p *Proxy) upgrade(w *backend.Response, r *backend.Request) {
	ctx, cancel := context.WithCancelCause(r.Context)
	defer cancel(nil)
	request, ok := p.request(ctx, r)
	if !ok {
		w.Refuse(400, badPath)
		return
	}
	for name, values := range maps.Clone(request.Header) {
		delete(request.Header, name)
		request.Header[spelling(name)] = values
	}
	request.Header["Connection"] = []string{"Upgrade"}
	request.Header["Upgrade"] = []string{"websocket"}
	c, err := p.dial(ctx)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	defer c.close()
	response, err := c.ask(request, nil)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		p.pass(w, r, response, cancel)
		return
	}
	if wrong := switches(response, r); wrong != "" {
		p.complain(r, "its answer to a request for a WebSocket is 101 %s", wrong)
		w.Refuse(502, "")
		return
	}
	head, ok := p.head(w, r, response)
	if !ok {
		return
	}
	head.Fields = append([]byte("Upgrade: websocket\r\nConnection: Upgrade\r\n"), head.Fields...)
	t, err := w.Tunnel(head)
	if err != nil {
		return // the client has left
	}
	ahead, _ := c.in.Peek(c.in.Buffered())
	ahead = bytes.Clone(ahead)
	c.putReader()
	c.SetDeadline(time.Time{})
	if !c.unbind() {
		return // the client has disconnected
	}
	if err := newTunnel(t, c.Conn, &p.opt).run(r.Context, ahead); err != nil {
		if errors.Is(err, errSlowClient) {
			w.Fail()
		} else if r.Context.Err() == nil {
			p.complain(r, "a WebSocket ended: %v", err)
		}
	}
}

// switches says what is missing in a 101 that would make it the answer to r, "" for
// nothing (RFC 6455 §4.1, RFC 9110 §7.8).
func switches(response *http.Response, r *backend.Request) string {
	h := response.Header
	accept := websocket.AcceptKey([]byte(r.Field("Sec-WebSocket-Key")))
	switch {
	case len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket"):
		return "without Upgrade: websocket"
	case !names(h["Connection"], "upgrade"):
		return "without Connection: Upgrade"
	case len(h["Sec-Websocket-Accept"]) != 1 || h["Sec-Websocket-Accept"][0] != string(accept[:]):
		return "without the Sec-WebSocket-Accept for it"
	}
	return ""
}

// names says whether a list in fields has the word.
func names(lines []string, word string) bool {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(one), word) {
				return true
			}
		}
	}
	return false
}
