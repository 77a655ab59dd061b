package runtime

import (
	"errors"

	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/refusal"
	"fapws/runtime/system"

	"fapws/runtime/exchange"
	"golang.org/x/sys/unix"
)

// body is that of a request which is still arriving. The handler hears of the
// request when it is whole, so that a slow client never holds an application, or,
// where Mount.Streams, at once: see stream.go.
type body struct {
	x        *Exchange // whose body it is; nil: no handler takes the rest any more, see unwanted
	streamed bool      // it is delivered to x as it arrives; else it is collected, in buf or spool
	html     bool      // the client is a browser, if streamed
	expects  bool      // the client waits for 100 Continue before it sends it, if streamed
	held     int64     // loop.now when reading stopped for want of credit

	chunked bool
	chunks  http1.ChunkedReader
	want    int64 // bytes missing, if not chunked

	buf   []byte // what has arrived, until it is too long for memory
	spool int    // descriptor of the file with all of it, or -1
	size  int64
	most  int64 // bytes that it may have; below 0: any number
	begun int64 // loop.now at its first byte
}

// tooBig reports whether a body of size bytes is larger than it may be. most is below 0 if it may be of any size.
func tooBig(size, most int64) bool { return size > most && most >= 0 }

// drop gives up what has arrived.
func (b *body) drop() {
	if b.spool >= 0 {
		unix.Close(b.spool)
		b.spool = -1
	}
}

// add stores a piece, which was counted, in memory or, once there is too much of
// it, in a file.
func (b *body) add(data []byte, cfg *Config) (err error) {
	if b.spool < 0 {
		if b.size <= int64(cfg.SpoolSize) {
			b.buf = append(b.buf, data...) // never by what the client announced
			return nil
		}
		if b.spool, err = system.UnnamedFile(cfg.SpoolDir); err != nil {
			return err
		}
		if err = writeAll(b.spool, b.buf); err != nil {
			return err
		}
		b.buf = nil
	}
	return writeAll(b.spool, data)
}

// collectBody starts to collect the body of x.
func (x *Exchange) collectBody() {
	l := x.l
	c, req := x.conn, x.Req.Parsed
	if tooBig(req.Length, x.maxBody) {
		x.refuse(bodyTooBig)
		return
	}
	l.host.Keep(x)
	x.phase = awaitingBody
	c.body = &body{
		x:       x,
		chunked: req.Body == http1.Chunked,
		want:    req.Length,
		most:    x.maxBody,
		spool:   -1,
		begun:   l.now(),
	}
	if req.Expect100 && len(l.rest) == 0 {
		c.Use()
		l.conns.Buf = append(l.conns.Buf, http1.Continue...)
	}
	c.Stamp = l.now()
	c.setState(stateBody)
	l.rest = c.collect(l.rest)
}

// collect takes what belongs to the body from the front of data and returns
// the rest. When the body is whole, or refused, c has another state.
func (c *httpConn) collect(data []byte) (rest []byte) {
	l := c.l
	b := c.body
	c.Stamp = l.now()
	piece, rest, whole, err := b.decode(data)
	if err == nil {
		err = b.add(piece, l.cfg)
	}
	if err != nil {
		c.bodyFailed(err)
		return nil
	}
	if whole {
		c.bodyWhole()
	}
	return rest
}

// decode takes what belongs to the body from the front of data and returns its
// content, which is part of data: the pieces of a chunked one are moved together.
// rest is what follows when the body is whole. The error is errBodyTooBig or a
// *http1.StatusError.
func (b *body) decode(data []byte) (piece, rest []byte, whole bool, err error) {
	if !b.chunked {
		k := min(b.want, int64(len(data)))
		b.want -= k
		b.size += k
		return data[:k], data[k:], b.want == 0, nil
	}
	from, to, at := 0, 0, 0 // the piece is data[from:to], data[:at] has been taken
	for {
		next, n, err := b.chunks.Next(data[at:])
		at += n
		if err != nil && err != http1.ErrNeedMore {
			return nil, nil, false, err
		}
		b.size += int64(len(next))
		// At least, with what the chunk announces.
		if least := b.size + b.chunks.Left(); least < 0 || tooBig(least, b.most) {
			return nil, nil, false, errBodyTooBig
		}
		if from == to {
			from, to = at-len(next), at
		} else {
			to += copy(data[to:], next)
		}
		if err != nil || b.chunks.Done() {
			return data[from:to], data[at:], err == nil, nil
		}
	}
}

var errBodyTooBig = errors.New(bodyTooBig.Text)

// bodyWhole submits the request.
func (c *httpConn) bodyWhole() {
	l := c.l
	b := c.body
	c.body = nil
	c.setState(stateReady)
	r := b.x.Req
	r.Body, r.Spool, r.Size = b.buf, b.spool, b.size
	l.submit(b.x, r)
}

// bodyFailed refuses a request in the middle of its body.
func (c *httpConn) bodyFailed(err error) {
	l := c.l
	c.refuseBody(l.bodyRefusal(err))
}

// refuseBody answers a request whose body is being collected.
func (c *httpConn) refuseBody(r exchange.Reply) {
	b := c.body
	c.body = nil
	b.drop()
	c.setState(stateReady)
	r.HTML = refusal.WantsHTML(b.x.Req.Parsed, b.x.Req.Head)
	b.x.Reply(r)
}

// bodyRefusal is what a client gets whose body could not be taken because of err.
func (l *loop) bodyRefusal(err error) exchange.Reply {
	r := exchange.Reply{Status: 500, Close: true}
	var malformed *http1.StatusError
	switch {
	case errors.Is(err, errBodyTooBig):
		r = bodyTooBig
	case errors.As(err, &malformed):
		r.Status, r.Text = malformed.Status, malformed.Text
	default:
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
			r.Status = 507
		}
		l.s.logf(loglevel.Error, "cannot store a request body in %s: %v", l.cfg.SpoolDir, err)
	}
	return r
}

// bodyDeadline returns when to look at a body again; a time that has passed
// means that it comes too slowly.
func (c *httpConn) bodyDeadline() int64 {
	l := c.l
	if c.stopped { // it is not the client who is waited for
		return l.now() + int64(bodyLook)
	}
	age := l.now() - c.body.begun
	if age > int64(l.cfg.BodyTimeout) && float64(c.body.size) < float64(l.cfg.BodyRate)*float64(age)/1e9 {
		return l.now()
	}
	return min(c.Stamp+int64(l.cfg.BodyTimeout), l.now()+int64(bodyLook))
}
