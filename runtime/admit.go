package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	protocol "fapws/runtime/protocol/http1"
)

// admit takes the request of x, which is for an application: it submits it, or begins to collect its body.
func (l *loop) admit(x *Exchange) {
	q, m := x.req, x.req.mount
	r := q.ask()
	if (m.WebSocket || m.Tunnels) && q.parsed.UpgradeTo.Len > 0 && wantsWebSocket(x) {
		l.handshake(x)
		return
	}
	var body []byte
	if q.hasBody() {
		if q.parsed.Body == http1.Chunked || q.parsed.Length > int64(len(l.rest)) {
			if m.Streams {
				x.streamBody()
				return
			}
			x.collectBody()
			return
		}
		if protocol.TooLarge(q.parsed.Length, x.maxBody) {
			x.refuse(bodyTooBig)
			return
		}
		body = l.rest[:q.parsed.Length]
	}
	socket := 0
	if m.DetachSocket && q.parsed.Upgrade && wantsDetachedSocket(x) {
		var err error
		if !x.isFirst() {
			x.suspend(awaitingTurn)
			return
		} else if len(l.rest) > 0 {
			x.refuse(earlyData)
			return
		} else if socket, err = l.detachSocket(x.conn); err != nil {
			x.refuse(exchange.Reply{Status: 503, Fields: retryAfter})
			return
		}
	}
	r.Body, r.Size = body, int64(len(body))
	r.Socket = socket
	l.rest = l.rest[len(body):]
	l.submit(x, r)
}

// submit hands x over, as the request r, to what answers its mount.
func (l *loop) submit(x *Exchange, r *exchange.Request) {
	c, m := x.conn, x.req.mount
	x.phase = answering
	if x.peer == nil {
		x.peer = c.Client()
	}
	r.Peer = x.peer
	if x.rules != nil {
		r.ErrorLog = x.rules.number
	}
	if c.subrequest != nil {
		r.Depth, r.Value = c.subrequest.depth, c.subrequest.value
	}
	// That of a chunked body is without its framing; of one that is streamed the rest is added as it comes.
	if x.received += r.Size; r.More {
		x.received += int64(len(r.Body)) - r.Size
	}
	x.detached = r.Socket != 0
	if c.body == nil && !x.keepAlive && !r.WebSocket {
		c.setState(stateEnding)
	}
	r.Pipeline = 0
	if m.bulky {
		x.bulky = true
		c.bulky++
	} else if c.active > 1 {
		r.Pipeline = c.Fd()
	}
	q := x.req
	x.Source, x.Req = m.Source, r
	if m.Source.Start(&x.Exchange); x.req == q && !x.lasting {
		x.req, x.Req = nil, nil
	}
}
