package runtime

import (
	"bytes"
	"runtime/debug"
	"slices"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/refusal"
	"fapws/runtime/source/static"

	"golang.org/x/sys/unix"
)

// fileJob is a response from files. One that is not in memory is opened beside the loop, which then writes its head.
type fileJob struct {
	files *static.Files
	req   static.Request // with copies of what it refers to
	res   static.Response
	resp  http1.Response  // at first what is known of the request, then what was sent
	sent  int64           // bytes of the body
	from  *handedOver     // by a handler, which then says which files; or nil
	page  *exchange.Reply // it is for this that the file is the page; or nil
	rules *rules          // of what answers; or nil

	falls bool   // routing goes on if there is no such file: Mount.Fall
	named bool   // it was asked for as the index of a directory before
	fell  bool   // there is no such file
	index string // or, if not empty, it is this one in a directory, and not for files
}

// fileSource answers exchanges with the files of a mount, or, without one, with those that a handler or an error page has
// named.
type fileSource struct{ mount *Mount }

// Start implements exchange.Source. It waits for the responses before that of x.
func (s *fileSource) Start(y *exchange.Exchange) {
	x := of(y)
	l, q, c := x.l, x.req, x.conn
	if !x.isFirst() {
		l.suspend(x, awaitingTurn)
		return
	}
	if q.hasBody() {
		r := exchange.Reply{Status: 413, Text: "a file takes no body"}
		if !q.parsed.Safe {
			r = exchange.Reply{Status: 405, Fields: allowRead} // a form, say: the method is wrong first of all
		}
		x.Reply(r)
		return
	}
	files, path := s.mount.Static, q.Path[q.Script:]
	x.phase = answering
	q.file = static.Request{Path: path, Prefix: x.Prefix, Head: q.Head, Parsed: &q.parsed}
	if x.log != nil {
		x.log.File = append(append(x.log.File, files.Root()...), path...)
	}
	if !x.keepAlive {
		l.setState(c, stateEnding)
	}
	if files.Hit(l.wall(), &q.file, &q.found) {
		switch {
		case q.found.Head.Status >= 400:
			r := refusal.OfFiles(&q.found, &q.parsed, q.Head)
			q.found.Close()
			x.Reply(r)
		case q.found.Fd() < 0:
			l.sendHit(x, &q.found)
		default:
			l.sendOpen(x, &q.found)
		}
		return
	}
	q.keep()
	x.file = &fileJob{
		files: files,
		req:   static.Request{Path: q.Path[q.Script:], Prefix: x.Prefix, Head: q.Head, Parsed: &q.parsed},
		resp:  l.responseTo(x),
		rules: x.rules,
		falls: s.mount.Fall,
		named: q.index != "",
	}
	l.advance(c)
}

// OnRoom implements exchange.Source.
func (s *fileSource) OnRoom(*exchange.Exchange) {}

// OnGone implements exchange.Source.
func (s *fileSource) OnGone(x *exchange.Exchange) {
	y := of(x)
	y.l.done(y)
}

// sendHit sends a response that is in memory.
func (l *loop) sendHit(x *Exchange, res *static.Response) {
	c := x.conn
	x.By = "files"
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

// sendOpen sends from a file that is open already.
func (l *loop) sendOpen(x *Exchange, res *static.Response) {
	j := &l.fileJob
	*j = fileJob{res: *res, resp: l.responseTo(x)}
	*res = static.Response{}
	fill(&j.resp, &j.res.Head)
	l.use(x.conn)
	if l.sendJob(x, j) {
		*res = j.res // its memory goes back
	}
	*j = fileJob{}
}

// sendJob sends the response of j, whose file, if there is one, is open: what is in memory at once, as far as the
// socket takes it; the rest is a transfer's, with a copy of j.
// It reports whether everything was sent, or the connection is closed.
func (l *loop) sendJob(x *Exchange, j *fileJob) bool {
	c := x.conn
	l.out.buf = l.appendHead(l.out.buf, x, &j.resp)
	x.By = "files"
	buf := l.out.buf
	l.out.conn, l.out.buf = nil, buf[:0]
	l.items = j.items(append(l.items[:0], item{data: buf}))
	defer clear(l.items)
	_, next, err := l.writeItems(c.fd, l.items, cachedMost)
	left := l.items[next:]
	switch {
	case err == nil && len(left) == 0:
		x.status, x.sent, x.keepAlive = j.resp.Status, j.sent, j.resp.KeepAlive
		l.complete(x, false)
		l.done(x)
		l.settle(c)
	case err != nil && err != unix.EAGAIN && err != errCold:
		if err == errShortFile {
			l.logClient(c, x.rules, loglevel.Warning, "a response broke off: %v", err)
		}
		x.file = j // no handler knows of it
		l.close(c, err.Error())
	default:
		x.file = new(fileJob)
		*x.file = *j
		left[0].data = bytes.Clone(left[0].data) // it may be in l.out.buf
		l.launch(c, err == unix.EAGAIN, &transfer{job: x.file, items: slices.Clone(left)})
		return false
	}
	j.res.Close()
	return true
}

// openFile opens the file of x, whose turn it is, beside the loop: that may have to wait for a disk.
func (l *loop) openFile(x *Exchange) {
	t := &transfer{job: x.file}
	l.attachTransfer(x.conn, t)
	go func() {
		err := l.openJob(t.job)
		l.post(func() { l.opened(t, err) })
	}()
}

// openJob runs beside the loop.
func (l *loop) openJob(j *fileJob) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.s.logf(loglevel.Error, "bug: %v in %s", p, debug.Stack())
			err = errBug
		}
	}()
	j.open(l.s)
	return nil
}

// opened sends the response of a file that openFile has opened.
func (l *loop) opened(t *transfer, err error) {
	c, j := t.c, t.job
	if x := c.first; x != nil && x.file == j && !j.fell && err == nil {
		l.detachTransfer(t)
		l.use(c)
		if l.sendJob(x, j) && c.state != stateClosed {
			l.goOn(c)
		}
		return
	}
	l.endTransfer(t, err)
}

// open opens the file, or finds that there is none. It may wait for the disk.
func (j *fileJob) open(s *Server) {
	if j.page != nil {
		j.openPage()
	} else if j.from == nil {
		j.files.Open(&j.req, &j.res)
		if j.named {
			j.res.Index = "" // it leads back to the folder
		}
		if j.res.Index != "" || j.falls && j.res.Head.Status == 404 {
			j.fell, j.index = true, j.res.Index
			return
		}
		j.judge()
	} else if j.from.file != nil {
		j.openSent(s)
	} else {
		j.openHanded(s)
		j.judge()
		j.resp.Fields = j.from.with(j.resp.Fields)
		j.resp.HasDate, j.resp.HasServer = j.from.hasDate, j.from.hasServer
	}
}

// items appends what is to be sent of the response's body to the item with its
// head, to which the first bytes are copied if they are few.
func (j *fileJob) items(items []item) []item {
	if j.resp.Body == http1.NoBody {
		return items
	}
	for i := range j.res.Segments {
		s := &j.res.Segments[i]
		if s.Data != nil {
			j.sent += int64(len(s.Data))
			if i == 0 && len(s.Data) <= copyLimit {
				items[0].data = append(items[0].data, s.Data...)
				continue
			}
			items = append(items, item{data: s.Data})
		} else {
			j.sent += s.Count
			it := item{file: j.res.Fd(), offset: s.Offset, count: s.Count}
			if j.res.Warm {
				it.warm = alwaysWarm
			}
			items = append(items, it)
		}
	}
	for i := range items[:len(items)-1] {
		items[i].more = true
	}
	return items
}

// fileSent ends the exchange of a job on the loop.
func (l *loop) fileSent(c *httpConn, j *fileJob, err error) {
	x := c.first
	if x == nil || x.file != j {
		return // the client has left
	}
	if j.fell && err == nil {
		l.fell(x, j)
		return
	}
	x.status, x.sent, x.keepAlive = j.resp.Status, j.sent, j.resp.KeepAlive
	x.By = "files"
	l.complete(x, err != nil)
	l.done(x)
}
