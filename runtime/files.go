package runtime

import (
	"bytes"
	"slices"
	"sync"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/netio"
	"fapws/runtime/static"

	"golang.org/x/sys/unix"
)

// fileJob is a request for a static file that was not in memory. The transfer
// that opens the file also sends it, so that it costs one hand-off.
type fileJob struct {
	files *static.Files
	req   static.Request // with copies of what it refers to
	res   static.Response
	unix  int64          // for the Date field
	resp  http1.Response // at first what is known of the request, then what was sent
	head  []byte         // of the response, if open made it
	sent  int64          // bytes of the body
	from  *handedOver    // by a handler, which then says which files; or nil
	page  *localResponse // it is for this that the file is the page; or nil
	rules *rules         // of what answers; or nil

	mount  *Mount   // which has Fall, or nil
	missed []*Mount // which had it before
	named  bool     // it was asked for as the index of a folder before
	fell   bool     // there is no such file
	index  string   // or, if not empty, it is this one in a folder, and not for files
}

// templates are for fileJob.open, which runs beside the loop.
var templates = sync.Pool{New: func() any { return http1.NewTemplate(serverName, 0) }}

// serveStatic answers a request from the files of its mount.
func (l *loop) serveStatic(c *conn, at *decision, rest []byte, used int) (int, bool) {
	if c.busy() {
		l.setState(c, stateWaiting)
		return 0, false
	}
	if hasBody(at.req) {
		r := localResponse{status: 413, text: "a file takes no body"}
		if !at.req.Safe {
			r = localResponse{status: 405, fields: allowRead} // a form, say: the method is wrong first of all
		}
		return l.refuse(c, at, rest, used, r)
	}
	m := at.mount
	files, path := m.Static, at.Path[at.Script:]
	var missed []*Mount
	named := false
	if c.known != nil {
		missed, named = c.known.missed, c.known.index != ""
	}
	x := l.newExchange(c, at)
	l.staticReq = static.Request{Path: path, Prefix: x.prefix, Head: at.Head, Parsed: at.req}
	if x.log != nil {
		x.log.File = append(append(x.log.File, files.Root()...), path...)
	}
	if !x.keepAlive {
		l.setState(c, stateEnding)
	}
	if files.Hit(l.start.UnixNano()+l.now, &l.staticReq, &l.staticRes) {
		switch {
		case l.staticRes.Head.Status >= 400:
			r := failure(&l.staticRes, at.req, at.Head)
			l.staticRes.Close()
			l.answerLocally(x, r)
		case l.staticRes.Fd() < 0:
			l.sendHit(x)
		default:
			l.sendOpen(x)
		}
	} else {
		x.file = &fileJob{
			files: files,
			req:   cloneStatic(&l.staticReq),
			unix:  l.unix,
			resp:  l.responseTo(x),
			rules: x.rules,
			named: named,
		}
		if x.file.missed = missed; m.Fall {
			x.file.mount = m
		}
		l.advance(c)
	}
	return used, c.state == stateReady
}

// sendHit sends a response that is in memory.
func (l *loop) sendHit(x *Exchange) {
	c, res := x.conn, &l.staticRes
	x.static = true
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

// sendOpen sends from a file that is open already. One that is in memory goes
// from here, without another goroutine, as far as the socket takes it at once;
// the rest, and all of a large one, is a transfer's.
func (l *loop) sendOpen(x *Exchange) {
	c := x.conn
	j := &l.fileJob
	*j = fileJob{res: l.staticRes, resp: l.responseTo(x)}
	l.staticRes = static.Response{}
	fill(&j.resp, &j.res.Head)
	l.use(c)
	l.out.buf = l.appendHead(l.out.buf, x, &j.resp)
	x.static = true
	buf := l.out.buf
	l.out.conn, l.out.buf = nil, buf[:0]
	l.items = j.items(append(l.items[:0], item{data: buf}), 0)
	left, err := l.items, error(nil)
	if j.res.Warm {
		left, err = l.sendItems(c, left)
	}
	switch {
	case err == nil && len(left) == 0:
		x.status, x.sent, x.keepAlive = j.resp.Status, j.sent, j.resp.KeepAlive
		l.complete(x, false)
		l.done(x)
		l.settle(c)
	case err != nil:
		if err == errShortFile {
			l.logClient(c, x.rules, LevelWarning, "a response broke off: %v", err)
		}
		x.file = j // no handler knows of it
		l.close(c, err.Error())
	default:
		kept := new(fileJob)
		*kept = *j
		x.file = kept
		*j = fileJob{}
		left[0].data = bytes.Clone(left[0].data) // it may be in l.out.buf
		l.launch(c, &transfer{job: kept, items: slices.Clone(left)})
	}
	l.kept(j)
}

// kept takes back what sendOpen has lent to a job that is done.
func (l *loop) kept(j *fileJob) {
	j.res.Close()
	l.staticRes, *j = j.res, fileJob{}
	clear(l.items)
}

// sendItems writes items as far as the socket takes them at once, and returns
// those that are left.
func (l *loop) sendItems(c *conn, items []item) (left []item, err error) {
	for len(items) > 0 {
		it := &items[0]
		var n int
		if len(it.data) > 0 {
			n, err = netio.Send(c.fd, it.data, it.flags())
			it.data = it.data[n:]
		} else if it.count > 0 {
			n, err = sendWarm(c.fd, it.file, &it.offset, it.count)
			if it.count -= int64(n); n == 0 && err == nil {
				err = errShortFile
			}
		}
		if err == unix.EAGAIN {
			return items, nil
		} else if err != nil {
			return items, err
		}
		if len(it.data) == 0 && it.count == 0 {
			items = items[1:]
		}
	}
	return nil, nil
}

// open opens the file and makes the items of t from it. It runs on t's goroutine.
func (j *fileJob) open(t *transfer) {
	if j.page != nil {
		j.openPage()
	} else if j.from == nil {
		j.files.Open(&j.req, &j.res)
		if j.named {
			j.res.Index = "" // it leads back to the folder
		}
		if j.res.Index != "" || j.mount != nil && j.res.Head.Status == 404 {
			j.fell, j.index = true, j.res.Index
			return
		}
		j.judge()
	} else if j.from.file != nil {
		j.openSent(t.l.s)
	} else {
		j.openHanded(t.l.s)
		j.judge()
		j.resp.Fields = j.from.with(j.resp.Fields)
		j.resp.HasDate, j.resp.HasServer = j.from.hasDate, j.from.hasServer
	}
	template := templates.Get().(*http1.Template)
	template.SetTime(j.unix)
	j.head, _ = writeHead(nil, template, j.rules, &j.resp, nil)
	templates.Put(template)
	t.items = j.items([]item{{data: j.head}}, copyLimit)
}

// items appends what is to be sent of the response's body to the item with its
// head, to which the first bytes are copied if they are no more than a limit.
func (j *fileJob) items(items []item, limit int) []item {
	if j.resp.Body == http1.NoBody {
		return items
	}
	for i := range j.res.Segments {
		s := &j.res.Segments[i]
		if s.Data != nil {
			j.sent += int64(len(s.Data))
			if i == 0 && len(s.Data) <= limit {
				items[0].data = append(items[0].data, s.Data...)
				continue
			}
			items = append(items, item{data: s.Data})
		} else {
			j.sent += s.Count
			items = append(items, item{file: j.res.Fd(), offset: s.Offset, count: s.Count})
		}
	}
	for i := range items[:len(items)-1] {
		items[i].more = true
	}
	return items
}

// fileSent ends the exchange of a job on the loop.
func (l *loop) fileSent(c *conn, j *fileJob, err error) {
	x := c.first
	if x == nil || x.file != j {
		return // the client has left
	}
	if j.fell && err == nil {
		l.fell(c, x, j)
		return
	}
	x.status, x.sent, x.keepAlive = j.resp.Status, j.sent, j.resp.KeepAlive
	x.static = true
	if j.head != nil { // else it was sent before the transfer
		x.headSent(j.head)
	}
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
