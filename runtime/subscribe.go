package runtime

import (
	"bytes"
	"net/netip"
	"time"

	"fapws/runtime/descriptors"
	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
	"fapws/runtime/listen"
	"fapws/runtime/loglevel"
	"fapws/runtime/pubsub"

	"golang.org/x/sys/unix"
)

// Between the head of a response that makes a subscriber (exchange.Head.Channel) and its
// last part, the connection is one as all others, which sends what the handler
// gives. The subscriber has joined already, so that no event is lost while the handler
// goes on; events wait in its queue.

var (
	eventStream  = []byte("Content-Type: text/event-stream\r\n")
	notBuffered  = []byte("X-Accel-Buffering: no\r\n") // nginx would collect events
	lastEventID  = []byte("Last-Event-ID")
	accelBuffers = []byte("X-Accel-Buffering")

	emptyLine      = []byte("\n\n") // after a line without its end
	emptyLineChunk = []byte("2\r\n\n\n\r\n")
)

// listens begins what the head of p asks for. It returns false if x gets another
// answer.
func (l *loop) listens(x *Exchange, p *exchange.Part) bool {
	if p.Head.Status != 200 {
		p.Head.Channel = nil
		return true
	}
	h, c := l.channels, x.conn
	names, err := pubsub.ParseNames(string(p.Head.Channel))
	switch {
	case err != nil:
		line, _, _ := bytes.Cut(p.Head.Request, crlf)
		l.logClient(c, x.rules, loglevel.Error, "a handler answered %.200q with a channel that cannot be: %v", line, err)
		l.refuseSubscriber(x, p, 500, nil)
		return false
	case c.subrequest != nil || x.head:
		l.streamHead(p) // nobody is there to listen
		return true
	}
	addr, _ := netip.ParseAddr(x.peer.Addr)
	if why := h.full(names, addr); why != "" {
		h.blame(loglevel.Warning, c.clientText(), why+": answered 503")
		l.refuseSubscriber(x, p, 503, retryAfter)
		return false
	}
	q := &subscriber{
		h: h, minor: x.minor, addr: addr, port: portOf(x.peer.Port), number: h.next,
		position: pubsub.Position[*subscriber]{Seq: h.fanout.Tip()}, started: uint32(time.Now().Unix()), active: ticks(l.now()),
	}
	h.next++
	id, asks := fieldOf(p.Head.Request, lastEventID)
	if len(id) > pubsub.MaxWord {
		id = "" // no event has it
	}
	if x.peer.User != "" || id != "" {
		q.extra = &extra{user: x.peer.User, lastID: id}
	}
	if asks {
		now := h.now()
		h.fanout.Expire(now)
		seq := h.fanout.Position(names, id, h.framed.Load().epoch)
		h.replay(q, seq, h.fanout.Replay(names, seq, now))
	}
	h.join(q, names)
	c.joining = q
	l.streamHead(p)
	return true
}

// full says why there may be no subscriber of that address, or "".
func (h *channels) full(names []string, addr netip.Addr) string {
	for _, name := range names {
		if h.fanout.Count(name) >= h.cfg.Subscribers {
			return "channel " + name + " has all the subscribers it may have"
		}
	}
	if addr.IsValid() && int(h.addresses[addressKey(addr)]) >= h.cfg.PerAddress {
		return "more subscribers of one address than there may be"
	}
	// They stay for long: with all connections theirs, nobody else would ever be served.
	if most := h.l.cfg.MaxClients; most > 1 && h.joined >= most-max(most/16, 1) {
		return "subscribers have all but a few of the connections that may be open"
	}
	return ""
}

// replay lets q, which has got all events up to number seq, begin with those.
func (h *channels) replay(q *subscriber, seq uint64, events []*pubsub.Event) {
	q.position.Seq = max(q.position.Seq, seq)
	if len(events) > 0 {
		q.queue = &queue{events: events, free: len(events), stamp: h.l.now()}
		q.position.Seq = max(q.position.Seq, events[len(events)-1].Seq)
	}
}

// join makes q, which has no descriptor yet, a subscriber.
func (h *channels) join(q *subscriber, names []string) {
	h.fanout.Join(q, names)
	h.joined++
	if q.addr.IsValid() {
		h.addresses[addressKey(q.addr)]++
	}
	h.counted(h.fanout.Count, names...)
}

// refuseSubscriber answers x for its handler.
func (l *loop) refuseSubscriber(x *Exchange, p *exchange.Part, status int, fields []byte) {
	p.Head.Status, p.Head.Reason, p.Head.Fields = status, nil, fields
	l.refuseFor(x, p)
}

// streamHead makes the head of p that of an event stream.
func (l *loop) streamHead(p *exchange.Part) {
	fields := make([]byte, 0, len(p.Head.Fields)+128)
	fields = append(fields, eventStream...)
	cached, buffered := false, false
	for line := range bytes.Lines(p.Head.Fields) {
		name := header.Name(line)
		switch {
		case bytes.EqualFold(name, contentType), bytes.EqualFold(name, contentEncoding):
			continue
		case bytes.EqualFold(name, cacheControl):
			cached = true
		case bytes.EqualFold(name, accelBuffers):
			buffered = true
		}
		fields = append(fields, line...)
	}
	if !cached {
		fields = append(fields, noStore...)
	}
	if !buffered {
		fields = append(fields, notBuffered...)
	}
	h := &p.Head
	h.Status, h.Reason, h.Fields = 200, nil, fields
	h.Length, h.Type, h.Close = -1, exchange.TypeSet, true
}

var contentEncoding = []byte("Content-Encoding")

// fieldOf returns a field of a request. ok: it is there.
func fieldOf(head, name []byte) (value string, ok bool) {
	_, fields, _ := bytes.Cut(head, crlf)
	for line := range bytes.Lines(fields) {
		if found := header.Name(line); len(found) < len(line) && bytes.EqualFold(found, name) {
			return string(bytes.Trim(line[len(found)+1:], " \t\r\n")), true
		}
	}
	return "", false
}

// writeRetry sends what a stream begins with, behind the head of x.
func (l *loop) writeRetry(x *Exchange) {
	e := l.channels.retry
	wire := e.Wire(x.minor)
	if x.framing == http1.NoBody {
		return
	}
	l.out.buf = append(l.out.buf, wire...)
	x.sent += int64(len(e.Text()))
	x.framed += int64(len(wire) - len(e.Text()))
}

// terminateInitialEvent adds an empty line to tail if x has a body that may not end with one: that of a
// framework is perhaps "{}" or "null", and the first event would be a part of its line. No
// client takes a second empty line for anything. body is the last piece of it.
func (l *loop) terminateInitialEvent(x *Exchange, body, tail []byte) []byte {
	if x.sent == int64(len(l.channels.retry.Text())) || bytes.HasSuffix(body, emptyLine) {
		return tail
	}
	line := emptyLine
	if x.framing == http1.Chunked {
		line = emptyLineChunk
	}
	x.sent += int64(len(emptyLine))
	x.framed += int64(len(line) - len(emptyLine))
	return append(tail[:len(tail):len(tail)], line...)
}

// onHandlerDone is called when the handler has given all of x, whose connection is to
// be a subscriber from now on.
func (l *loop) onHandlerDone(x *Exchange) {
	c := x.conn
	q := c.joining
	q.sent, q.framed, q.log = x.sent, uint32(x.framed), x.log
	x.log = nil // its line comes when the subscriber ends
	c.body = nil
	c.shift()
	l.cancelAll(c)
	l.setState(c, stateJoining)
}

// promoteToSubscriber makes c, to which everything before was written, nothing but a subscriber:
// its descriptor is taken from the loop.
func (l *loop) promoteToSubscriber(c *httpConn) {
	h, q := l.channels, c.joining
	if q.state == subscriberGone {
		c.reset = true
		l.close(c, "it reads too slowly")
		return
	}
	if c.half {
		l.close(c, "the client has shut down its side")
		return
	}
	c.watch.Remove()
	if err := h.adopt(q, c.fd); err != nil {
		l.s.logf(loglevel.Error, "%s cannot listen: %v", c, err)
		l.close(c, "it cannot be watched as a subscriber")
		return
	}
	if h.cfg.Joined != nil {
		client := q.client()
		for _, name := range q.position.Names() {
			h.cfg.Joined(name, client)
		}
	}
	c.joining, c.moved = nil, true
	l.end(c)
	h.begin(q)
}

// adopt gives q the descriptor fd, if there is no error, and has it watched.
func (h *channels) adopt(q *subscriber, fd int) error {
	if err := h.l.events.Add(&q.watch, fd, q); err != nil {
		return err
	}
	descriptors.Hold(fd)
	// What the kernel keeps for a subscriber is bounded, too. Both fail for unix
	// sockets or are of no use there.
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, h.cfg.Buffer)
	listen.GiveUpAfter(fd, min(h.goneAfter(), maxGone))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	return nil
}

// begin starts to serve q, which has joined and has a descriptor.
func (h *channels) begin(q *subscriber) {
	h.live++
	h.heartbeats.add(q)
	q.state = subscriberIdle
	if q.queue != nil { // what came meanwhile, or before
		q.state = subscriberBehind
		q.queue.stamp = h.l.now()
		h.lag(q)
		h.room(q)
	}
	if q.state != subscriberGone && (h.l.draining || h.l.leaving && !h.stay) {
		h.finish(q)
	}
}

// abandon ends what c was to become. Its line in the log is as that of others whose
// client left.
func (l *loop) abandon(c *httpConn) {
	q := c.joining
	c.joining = nil
	l.channels.abandon(q)
	if q.log != nil {
		l.accountSubscriber(q)
	}
}

// abandon ends q, whose connection has ended before it could be its own.
func (h *channels) abandon(q *subscriber) {
	if q.state == subscriberGone {
		return
	}
	q.state, q.queue = subscriberGone, nil
	h.leave(q, false)
}
