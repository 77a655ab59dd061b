package runtime

import (
	"sync"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/static"
)

// fileJob is a request for a static file that was not in memory. The transfer
// that opens the file also sends it, so that it costs one hand-off.
type fileJob struct {
	files *static.Files
	req   static.Request // with copies of what it refers to
	res   static.Response
	unix  int64          // for the Date field
	resp  http1.Response // at first what is known of the request, then what was sent
	sent  int64          // bytes of the body
	from  *handedOver    // by a handler, which then says which files; or nil
}

// templates are for fileJob.open, which runs beside the loop.
var templates = sync.Pool{New: func() any { return http1.NewTemplate(serverName, 0) }}

// serveStatic answers the request in l.req from the files of a mount.
func (l *loop) serveStatic(c *conn, mount, script int, path, head, rest []byte, used int) (int, bool) {
	if c.busy() {
		l.setState(c, stateWaiting)
		return 0, false
	}
	if l.hasBody() {
		r := refusal{status: 413, text: "a file takes no body"}
		if !l.req.Safe {
			r = refusal{status: 405, fields: allowRead} // a form, say: the method is wrong first of all
		}
		return l.refuse(c, head, rest, used, r)
	}
	files := l.table[mount].Static
	x := l.newFlight(c, head)
	l.staticReq = static.Request{Path: path[script:], Prefix: x.prefix, Head: head, Parsed: &l.req}
	if !x.keepAlive {
		l.setState(c, stateEnding)
	}
	if files.Hit(l.start.UnixNano()+l.now, &l.staticReq, &l.staticRes) {
		l.sendHit(x)
	} else {
		x.file = &fileJob{
			files: files,
			req:   cloneStatic(&l.staticReq),
			unix:  l.unix,
			resp:  http1.Response{Minor: x.minor, Head: x.head, KeepAlive: x.keepAlive && !l.leaving},
		}
		l.advance(c)
	}
	return used, c.state == stateReady
}

// sendHit sends a response that is in memory.
func (l *loop) sendHit(x *flight) {
	c, res := x.conn, &l.staticRes
	l.use(c)
	p := exchange.Part{Ticket: x.ticket, First: true, Head: res.Head, File: -1}
	l.sendHead(x, &p)
	if x.framing == http1.NoBody {
		res.Segments = res.Segments[:0]
	}
	for i := range res.Segments {
		x.sent += int64(len(res.Segments[i].Data))
	}
	l.complete(x, false)
	l.done(x)
	if len(res.Segments) == 1 && len(res.Segments[0].Data) > copyLimit {
		body := res.Segments[0].Data // immutable, and the collector keeps it
		buf := l.out.buf
		l.out.conn, l.out.buf = nil, buf[:0]
		l.write(c, buf, body, nil, nil)
		l.settle(c)
	} else {
		for i := range res.Segments {
			l.out.buf = append(l.out.buf, res.Segments[i].Data...)
		}
		if len(l.out.buf) > flushLimit {
			l.flush()
		}
	}
	res.Close()
}

// open opens the file and makes the items of t from it. It runs on t's goroutine.
func (j *fileJob) open(t *transfer) {
	if j.from == nil {
		j.files.Open(&j.req, &j.res)
		fill(&j.resp, &j.res.Head)
	} else if j.from.file != nil {
		j.openSent(t.l.s)
	} else {
		j.openHanded(t.l.s)
		fill(&j.resp, &j.res.Head)
		j.resp.Fields = j.from.with(j.resp.Fields)
		j.resp.HasDate, j.resp.HasServer = j.from.hasDate, j.from.hasServer
	}
	template := templates.Get().(*http1.Template)
	template.SetTime(j.unix)
	buf := template.AppendHead(nil, &j.resp)
	templates.Put(template)
	if j.resp.Body == http1.NoBody {
		t.items = []item{{data: buf}}
		return
	}
	t.items = make([]item, 1, 1+len(j.res.Segments))
	for i := range j.res.Segments {
		s := &j.res.Segments[i]
		if s.Data != nil {
			j.sent += int64(len(s.Data))
			if i == 0 && len(s.Data) <= copyLimit {
				buf = append(buf, s.Data...)
				continue
			}
			t.items = append(t.items, item{data: s.Data})
		} else {
			j.sent += s.Count
			t.items = append(t.items, item{file: j.res.Fd(), offset: s.Offset, count: s.Count})
		}
	}
	t.items[0].data = buf
	for i := range t.items[:len(t.items)-1] {
		t.items[i].more = true
	}
}

// fileSent ends the exchange of a job on the loop.
func (l *loop) fileSent(c *conn, j *fileJob, err error) {
	x := c.first
	if x == nil || x.file != j {
		return // the client has left
	}
	x.status, x.sent, x.keepAlive = j.resp.Status, j.sent, j.resp.KeepAlive
	l.complete(x, err != nil)
	l.done(x)
}

func cloneStatic(r *static.Request) static.Request {
	parsed := *r.Parsed
	parsed.Fields = append([]http1.Field(nil), parsed.Fields...)
	buf := make([]byte, 0, len(r.Head)+len(r.Path))
	buf = append(append(buf, r.Head...), r.Path...)
	return static.Request{
		Path:   buf[len(r.Head):],
		Prefix: r.Prefix,
		Head:   buf[:len(r.Head):len(r.Head)],
		Parsed: &parsed,
	}
}
