package static

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Hit answers a GET or HEAD from memory, without a system call, or from a file that
// is open already, which it looks at with fstat(2): it allocates nothing but the key of a listing. It
// returns false, with out unchanged, when that cannot be done; Open can.
// now is the time when the process started, in nanoseconds since 1970, plus the
// monotonic time since then; it may be up to a second late. Any goroutine may
// call it; it never waits for the disk.
func (f *Files) Hit(now int64, req *Request, out *Response) bool {
	v, ok := f.cache.get(f.key(req.Path, req), now, true)
	if !ok {
		return false
	}
	c := ReadConditions(req.Head, req.Parsed.Fields)
	return v.choose(&c).answer(req, &c, out, true)
}

// Open answers a request, whatever it takes: it may wait for the disk and may
// leave a file open in out (Close it). Any goroutine may call it, any number
// at the same time.
func (f *Files) Open(req *Request, out *Response) {
	if !req.Parsed.Head && !req.Parsed.Get {
		out.fail(405)
		return
	}
	f.looking <- struct{}{}
	defer func() { <-f.looking }()
	var buf [256]byte
	path, ok := cleanPath(buf[:], req.Path, f.opt.DotFiles)
	if !ok {
		out.fail(404)
		return
	}
	now := f.clock()
	t := f.root.at(now)
	err := f.serve(t, path, now, req, out)
	var index program
	isIndex := errors.As(err, &index)
	if err != nil && f.opt.SPA != "" && !isIndex && !errors.Is(err, errDirectory) && StatusOf(err) == 404 && isPage(req) {
		err = f.serve(t, []byte("/"+f.opt.SPA), now, req, out)
	}
	switch {
	case err == nil:
	case isIndex:
		out.fail(404)
		out.Index = string(index)
	case errors.Is(err, errDirectory):
		out.redirect(req)
	default:
		out.fail(StatusOf(err))
	}
}

// isPage tells whether a request looks like one for a page, rather than for
// something in a page: no extension, or text/html is accepted by name.
func isPage(req *Request) bool {
	name := req.Path[bytes.LastIndexByte(req.Path, '/')+1:]
	return bytes.IndexByte(name, '.') < 0 || req.Parsed.HTML
}

// serve sends the file or directory at a clean path.
func (f *Files) serve(t *view, path []byte, now int64, req *Request, out *Response) error {
	c := ReadConditions(req.Head, req.Parsed.Fields)
	key := f.key(path, req)
	for again := false; ; again = true {
		v, err := f.find(t, path, key, now, req)
		if err != nil {
			return err
		}
		err = f.answer(t, key, &v, req, &c, out)
		if err == nil || again {
			return err
		}
		// It was there at the last look, up to a second ago. Now that it is forgotten, look again: perhaps only a
		// variant is gone.
	}
}

// key returns the key of a clean path in the cache: itself, but for a listing, which differs by its order and by its title.
func (f *Files) key(path []byte, req *Request) []byte {
	if !f.opt.Listing || len(path) > 0 && path[len(path)-1] != '/' {
		return path
	}
	o := f.order(req)
	return req.appendShown(append(bytes.Clone(path), 0, o.column, o.direction)) // no clean path has a zero
}

// answer sends the representation that the client prefers; it opens, reads or
// makes it when its bytes are needed and not in memory. key is that of the path.
func (f *Files) answer(t *view, key []byte, v *variants, req *Request, c *Conditions, out *Response) error {
	r := v.choose(c)
	if r.answer(req, c, out, true) {
		return nil
	}
	if r.made {
		if r = f.make(t, key, v, r); r == nil {
			r = v[Identity]
		}
		if r.answer(req, c, out, true) {
			return nil
		}
	}
	file, info, err := t.openRegular(r.name)
	if err != nil {
		f.cache.forget(key)
		return err
	}
	current, before := r, f.wall()
	if s := stampOf(file, info); s != r.stamp {
		// It is another file now than the one that was looked at. The response has to describe the one that is
		// open.
		f.cache.forget(key)
		current = newRepresentation(r.description, s, before)
	}
	if current.stamp.unsized {
		if current, err = readUnsized(file, current); err == nil {
			current.answer(req, c, out, false)
		}
		return err
	}
	loaded := f.load(file, current)
	if current == r && (loaded.open != nil || r.stamp.Settled(before)) {
		f.cache.load(key, r, loaded)
	}
	loaded.answer(req, c, out, false)
	if loaded.open != nil {
		loaded.open.release()
	}
	return nil
}

// answer fills in out. It returns false, with out unchanged, when the bytes
// are needed but r is neither in memory nor open, or the file was opened before and has changed since;
// out takes hold of the file that it needs.
func (r *representation) answer(req *Request, c *Conditions, out *Response, before bool) bool {
	head := req.Parsed.Head
	switch status := r.judge(c); {
	case status == 304:
		out.Head = exchange.Head{Status: 304, Fields: r.fields[:r.short], Length: -1}
		return true
	case status == 412:
		out.fail(412)
		return true
	case (r.made || r.stamp.unsized) && r.body == nil:
		return false // its size is not known
	}
	// Ranges are for GET alone (RFC 9110 §14.2).
	var buf [maxRanges]byteRange
	var ranges []byteRange
	partial := false
	if c.byteRange.set && !head {
		ranges, partial = appendRanges(buf[:0], c.Range(r.etag, r.lastModified), r.size)
	}
	if partial && len(ranges) == 0 {
		out.failRange(r.size)
		return true
	}
	if !head && r.body == nil {
		if !r.hold() {
			return false
		}
		if before && !r.open.is(r.stamp) {
			r.open.release()
			return false
		}
		out.file, out.Warm = r.open, r.open.warm > 0
	}
	switch {
	case len(ranges) == 1:
		out.onePart(r, ranges[0])
	case partial:
		out.manyParts(r, ranges)
	default:
		out.Head = exchange.Head{Status: 200, Fields: r.fields, Length: r.size}
		if !head {
			out.add(r, byteRange{0, r.size})
		}
	}
	return true
}

// add appends a range of the representation to the body.
func (out *Response) add(r *representation, part byteRange) {
	if part.count == 0 {
		return
	}
	if r.body != nil {
		out.Segments = append(out.Segments, Segment{Data: r.body[part.start : part.start+part.count]})
		return
	}
	out.Segments = append(out.Segments, Segment{Offset: part.start, Count: part.count})
}

// reply returns the error that res is.
func (res *Response) reply() exchange.Reply {
	h := &res.Head
	text := strconv.Itoa(h.Status) + " " + http1.StatusText(h.Status)
	return exchange.Reply{Status: h.Status, Text: text, Fields: bytes.Clone(h.Fields), Close: h.Close, Date: h.HasDate, Server: h.HasServer}
}

var contentType = []byte("Content-Type")

// Request is the part of a request that Files needs. Its slices are read during Hit or Open only; a Response never
// refers to them. (Callers of Open on another goroutine than the loop give it copies.)
type Request struct {
	Path   []byte         // PATH_INFO below the mount, percent-decoded: empty or beginning with "/"
	Prefix string         // decoded path that is before the one in Head, seen from outside; "" or "/a/b"
	Head   []byte         // request line and fields as received
	Parsed *http1.Request // spans into Head: method, raw path, query, fields
}

// Segment is a piece of a body: bytes in memory, or a range of the response's
// file (Response.Fd) when Data is nil.
type Segment struct {
	Data   []byte // lives as long as the Response is not closed
	Offset int64  // first byte in the file
	Count  int64  // bytes of the file; 0 when Data is set
}

// Response is filled by Hit or Open. Its zero value is ready; Close makes it
// ready again and keeps its buffers, so that a loop which uses one Response
// over and over allocates nothing.
type Response struct {
	// Head is complete but for Date, Server and framing. Length is that of the body of a GET, also for HEAD, and -1
	// for 304, which has none. An error has no body yet.
	Head exchange.Head

	// Segments are the body, in order; none for HEAD and 304. When the file
	// turns out to be shorter than promised (it was truncated meanwhile), the
	// connection has to be closed: Length cannot be kept any more.
	Segments []Segment

	// Index, when not empty, says of a 404 that the directory asked for has a
	// program for its index, and is its name.
	Index string

	// Warm says that the file was read within the last two seconds and is not
	// large: sendfile(2) finds it in memory and does not wait for the disk.
	Warm bool

	file    *openFile
	scratch []byte // memory of this response: fields, error text, part heads

	// Of a response that an exchange is sent, and that owns the parts.
	request Request
	part    exchange.Part // scratch of send
	users   atomic.Int32  // send, and the last part
}

// Fd returns the descriptor of the response's file, whose position is to be
// left alone as others use it too, or -1 when the body is in memory. It stays open until
// Close.
func (r *Response) Fd() int {
	if r.file == nil {
		return -1
	}
	return r.file.fd
}

// Close lets go of the file, if there is one. The bytes of Head and Segments must
// not be used any more.
func (r *Response) Close() {
	if r.file != nil {
		r.file.release()
	}
	clear(r.Segments)
	r.Segments, r.scratch = r.Segments[:0], r.scratch[:0]
	r.Head, r.Index, r.Warm, r.file, r.request = exchange.Head{}, "", false, nil, Request{}
}

// Source answers exchanges with files. It is an exchange.Source.
type Source struct {
	exchange.Memory
	files    *Files
	declines bool
}

// NewSource returns a Source of files. If it declines, routing continues for missing files.
func NewSource(files *Files, declines bool) *Source { return &Source{files: files, declines: declines} }

// Declines implements exchange.Optional.
func (s *Source) Declines() bool { return s.declines }

// Start implements exchange.Source. A file that is not in memory is opened beside the loop.
func (s *Source) Start(x *exchange.Exchange) {
	switch r := x.Req.Parsed; {
	case !r.Head && !r.Get: // a form, say: the method is wrong first of all
		x.Sink.Reply(exchange.Reply{Status: 405, Fields: wrongMethod})
		return
	case r.HasBody:
		x.Sink.Reply(exchange.Reply{Status: 413, Text: "a file does not accept a request body"})
		return
	}
	if !x.InTurn() {
		x.AwaitTurn(false)
		return
	}
	a := newResponse()
	a.request = requestOf(x)
	if r := x.Record; r != nil {
		r.File = append(append(r.File[:0], s.files.name...), a.request.Path...)
	}
	hit := s.files.Hit(started.UnixNano()+int64(time.Since(started)), &a.request, a)
	switch {
	case (!hit || a.file != nil) && !x.HoldDescriptor():
		a.drop()
		x.AwaitDescriptor()
		return
	case hit:
		a.send(x, true)
		return
	}
	x.Beside(func() {
		a.request = requestOf(x)
		s.files.Open(&a.request, a)
	}, func(gone bool) {
		switch {
		case gone:
			a.drop()
		case a.Index != "" && x.Decline(a.Index), s.declines && a.Head.Status == 404 && x.Decline(""):
			a.drop()
		default:
			a.send(x, true)
		}
	})
}

// requestOf returns the file request of x.
func requestOf(x *exchange.Exchange) Request {
	r := x.Req
	return Request{Path: r.Path[r.Script:], Prefix: x.Prefix, Head: r.Head, Parsed: r.Parsed}
}

// responses are used again, so that a file in memory costs no allocation.
var responses = sync.Pool{New: func() any { return new(Response) }}

// newResponse returns an empty response for an exchange. send must be called, or drop.
func newResponse() *Response {
	a := responses.Get().(*Response)
	a.users.Store(1)
	return a
}

// drop ends one use of a: it is not sent, or was. With the last one its memory is used again.
func (a *Response) drop() {
	if a.users.Add(-1) == 0 {
		a.Close()
		responses.Put(a)
	}
}

// Release implements exchange.Owner.
func (a *Response) Release(p *exchange.Part) {
	if p.Last {
		a.drop()
	}
}

// send answers x, whose turn it is, with the response. pages says that the page of its site takes the place of an error.
func (a *Response) send(x *exchange.Exchange, pages bool) {
	if pages && a.Head.Status >= 400 {
		r := a.reply()
		a.drop()
		x.Sink.Reply(r)
		return
	}
	x.By = "files"
	a.users.Add(1)
	p, n := &a.part, max(1, len(a.Segments))
	p.Owner, p.Head = a, a.Head
	for i := range n {
		p.First, p.Last = i == 0, i == n-1
		p.Body, p.File, p.Offset, p.Count, p.Warm = nil, -1, 0, 0, a.Warm
		if i < len(a.Segments) {
			s := &a.Segments[i]
			if p.Body = s.Data; s.Data == nil {
				p.File, p.Offset, p.Count = a.Fd(), s.Offset, s.Count
			}
		}
		x.Sink.Send(p)
	}
	a.drop()
}
