package runtime

import (
	"bytes"
	"strconv"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/http1"
)

// maxExcerpt is how many bytes of a read or write are shown.
const maxExcerpt = 512

// excerpt quotes the beginning of b.
func excerpt(b []byte) string {
	if len(b) > maxExcerpt {
		return strconv.Quote(string(b[:maxExcerpt])) + "..."
	}
	return strconv.Quote(string(b))
}

// note remembers of the request in l.req what its log line needs. head is nil
// if there was no request.
func (l *loop) note(x *flight, head []byte) {
	e := x.log
	if e == nil {
		e = new(logEntry)
		x.log = e
	}
	peer := x.conn.who()
	if head != nil {
		peer = x.conn.client()
	}
	e.start, e.addr = time.Now(), peer.Addr
	if l.debug > 0 {
		e.client = x.conn.String()
		if peer != x.conn.peer {
			e.client = peer.Addr + " through " + e.client
		}
	}
	e.line, e.referer, e.agent = e.line[:0], e.referer[:0], e.agent[:0]
	if head == nil {
		return
	}
	if i := bytes.IndexByte(head, '\r'); i > 0 {
		e.line = append(e.line, head[:i]...)
	}
	for _, f := range l.req.Fields {
		switch f.Name.Len {
		case 7:
			if is(f, head, "referer") {
				e.referer = append(e.referer, f.Value.In(head)...)
			}
		case 10:
			if is(f, head, "user-agent") {
				e.agent = append(e.agent, f.Value.In(head)...)
			}
		}
	}
}

func is(f http1.Field, head []byte, name string) bool {
	return bytes.EqualFold(f.Name.In(head), []byte(name))
}

// statusGone is what logs say of a request whose client left before it was
// answered, as nginx does.
const statusGone = 499

// account writes the log lines of an exchange that has ended.
func (l *loop) account(x *flight) {
	e := x.log
	if e == nil {
		return
	}
	took := time.Since(e.start)
	if x.status == 0 {
		x.status = statusGone
	}
	if l.debug >= 1 {
		l.tracef("%s %q %d, %d bytes, %v", e.client, e.line, x.status, x.sent, took.Round(time.Microsecond))
	}
	if l.cfg.Answered != nil && !x.notice {
		l.cfg.Answered(&Answered{Line: e.line, Status: x.status, Bytes: x.sent, Took: took})
	}
	if l.cfg.AccessLog != nil {
		l.cfg.AccessLog.Append(&accesslog.Entry{
			Addr:        e.addr,
			Time:        e.start,
			RequestLine: e.line,
			Status:      x.status,
			BytesSent:   x.sent,
			Referer:     e.referer,
			UserAgent:   e.agent,
			Duration:    took,
		})
	}
}
