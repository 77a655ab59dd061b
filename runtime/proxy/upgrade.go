package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/websocket"
)

// maxInterim is how many responses of 1xx may come before the one that counts.
const maxInterim = 5

// upgrade passes on a request for a WebSocket. It has a connection of its own, which
// is never one of those that are kept for others, before or after: what the server has
// answered decides what the bytes that follow are, and it alone knows whether it is of
// the same opinion.
func (p *Proxy) upgrade(w *backend.Response, r *backend.Request) {
	ctx, cancel := context.WithCancelCause(r.Context)
	defer cancel(nil)
	request := p.request(ctx, r)
	for name, values := range maps.Clone(request.Header) {
		delete(request.Header, name)
		request.Header[spelling(name)] = values
	}
	request.Header["Connection"] = []string{"Upgrade"}
	request.Header["Upgrade"] = []string{"websocket"}
	conn, err := p.target.dial(ctx)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	defer plain(conn).Close()
	unbind := context.AfterFunc(ctx, func() { plain(conn).Close() })
	defer unbind()
	conn.SetDeadline(time.Now().Add(p.opt.Timeout))
	response, ahead, err := ask(conn, request)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	conn.SetDeadline(time.Time{})
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
	if !unbind() {
		return // so it has here
	}
	if err := newTunnel(t, conn, &p.opt).run(r.Context, ahead); err != nil {
		if errors.Is(err, errSlowClient) {
			w.Fail()
		} else if r.Context.Err() == nil {
			p.complain(r, "a WebSocket ended: %v", err)
		}
	}
}

// ask sends a request on a new connection and returns the head of the response; the
// body reads from conn. ahead is what came behind a 101.
func ask(conn net.Conn, request *http.Request) (response *http.Response, ahead []byte, err error) {
	if err := request.Write(conn); err != nil {
		return nil, nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHead}
	from := bufio.NewReader(limited)
	for range maxInterim {
		response, err = http.ReadResponse(from, request)
		if err != nil {
			if limited.N <= 0 {
				err = fmt.Errorf("the head of its response has more than %d bytes", maxHead)
			} else if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = errors.New("it closed the connection without an answer")
			}
			return nil, nil, err
		}
		switch {
		case response.StatusCode == http.StatusSwitchingProtocols:
			ahead, _ = from.Peek(from.Buffered())
			return response, bytes.Clone(ahead), nil
		case response.StatusCode >= 200 || response.StatusCode < 100:
			limited.N = math.MaxInt64
			return response, nil, nil
		}
	}
	return nil, nil, errors.New("it gives no answer but 1xx")
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
