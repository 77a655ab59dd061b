package runtime

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/protocol/sse"
	"fapws/runtime/pubsub"
)

// Between the head of a response that makes a subscriber (exchange.Head.Channel) and its
// last part, the connection is one as all others, which sends what the handler
// gives. The subscriber has joined already, so that no event is lost while the handler
// goes on; events wait in its queue. Then the connection becomes a Subscriber of package sse.

// listens begins what the head of p asks for. It returns false if x gets another
// answer.
func (l *loop) listens(x *Exchange, p *exchange.Part) bool {
	if p.Head.Status != 200 {
		p.Head.Channel = nil
		return true
	}
	c := x.conn
	names, err := pubsub.ParseNames(string(p.Head.Channel))
	if err != nil {
		line, _, _ := bytes.Cut(p.Head.Request, crlf)
		l.logClient(c, x.rules, loglevel.Error, "a handler answered %.200q with a channel that cannot be: %v", line, err)
		l.refuseSubscriber(x, p, 500, nil)
		return false
	}
	if c.subrequest == nil && !x.head { // else there is no client to read the stream
		c.joining, err = l.subscribers.Join(&sse.Request{
			Names: names, Head: p.Head.Request, Minor: x.minor,
			Address: x.peer.Addr, Port: x.peer.Port, User: x.peer.User, Client: c.clientText,
		})
		if err != nil {
			l.refuseSubscriber(x, p, 503, retryAfter)
			return false
		}
	}
	sse.SetHead(&p.Head)
	return true
}

// refuseSubscriber answers x in the place of its source, whose first part is p.
func (l *loop) refuseSubscriber(x *Exchange, p *exchange.Part, status int, fields []byte) {
	last := p.Last
	y := x.substitute()
	if x.release(p); !last {
		x.cancel()
	}
	y.Reply(exchange.Reply{Status: status, Fields: fields})
}

// writeRetry sends what a stream begins with, behind the head of x.
func (l *loop) writeRetry(x *Exchange) {
	if x.out.Framing == http1.NoBody {
		return
	}
	wire, size := l.subscribers.Retry(x.minor)
	l.conns.Buf = append(l.conns.Buf, wire...)
	x.countFramed(wire, size)
}

// terminateInitialEvent adds to tail what separates the body of x, of which body is the last piece, from the first event.
func (l *loop) terminateInitialEvent(x *Exchange, body, tail []byte) []byte {
	wire, size := l.subscribers.Terminator(x.out.Framing, body, x.out.Sent)
	x.countFramed(wire, size)
	return append(tail[:len(tail):len(tail)], wire...)
}

// countFramed counts wire, of which size bytes are of the body.
func (x *Exchange) countFramed(wire []byte, size int) {
	x.out.Sent += int64(size)
	x.out.Framed += int64(len(wire) - size)
}

// onHandlerDone is called when the handler has given all of x, whose connection is to
// be a subscriber from now on.
func (l *loop) onHandlerDone(x *Exchange) {
	c := x.conn
	if x.log != nil {
		x.log.WireIn = x.received
	}
	c.joining.Responded(x.out.Sent, x.out.Framed, x.log)
	x.log = nil // its line comes when the subscriber ends
	c.body = nil
	c.shift()
	c.cancelAll()
	c.setState(stateJoining)
}

// promoteToSubscriber makes c, to which everything before was written, nothing but a subscriber:
// its descriptor is taken from the loop.
func (l *loop) promoteToSubscriber(c *httpConn) {
	p := c.joining
	switch {
	case p.Dropped():
		c.Reset = true
		c.Close("it reads too slowly")
		return
	case c.Half():
		c.Close("the client has shut down its side")
		return
	}
	c.Unwatch()
	if err := l.subscribers.Attach(p, c.Fd()); err != nil {
		l.s.logf(loglevel.Error, "%s cannot listen: %v", c, err)
		c.Close("it cannot be watched as a subscriber")
		return
	}
	c.joining, c.moved = nil, true
	c.Detach()
	l.subscribers.Start(p)
}
