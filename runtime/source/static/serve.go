package static

import (
	"bytes"
	"errors"
	"io/fs"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fapws/runtime/compress"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Hit responds to a GET or HEAD request from the cache: from memory without a system call, or with an open file after
// an fstat(2). If this is not possible, Hit returns false and leaves response unchanged, and the caller must call Open.
// Hit allocates memory only for the key of a listing. now is the time in nanoseconds since 1970 (see Files.clock), and
// may be up to a second old. Hit is safe for concurrent use, and never waits for the disk.
func (f *Files) Hit(now int64, req *FileRequest, response *FileResponse) bool {
	v, ok := f.cache.get(f.key(req.Path, req), now, true)
	if !ok {
		return false
	}
	c := ReadConditions(req.Head, req.Parsed.Fields)
	return v.choose(&c).answer(req, &c, response, true)
}

// Open responds to any request, and may block for the disk. If response refers to an open file, the file stays open
// until FileResponse.Close. Open is safe for concurrent use.
func (f *Files) Open(req *FileRequest, response *FileResponse) {
	if !req.Parsed.Head && !req.Parsed.Get {
		response.fail(405)
		return
	}
	f.looking <- struct{}{}
	defer func() { <-f.looking }()
	var buf [256]byte
	path, ok := cleanPath(buf[:], req.Path, f.opt.DotFiles)
	if !ok {
		response.fail(404)
		return
	}
	now := f.clock()
	t := f.root.at(now)
	err := f.serve(t, path, now, req, response)
	index, isIndex := errors.AsType[program](err)
	if err != nil && f.opt.SPA != "" && !isIndex && !errors.Is(err, errDirectory) && StatusOf(err) == 404 && isPage(req) {
		err = f.serve(t, []byte("/"+f.opt.SPA), now, req, response)
	}
	switch {
	case err == nil:
	case isIndex:
		response.fail(404)
		response.Index = string(index)
	case errors.Is(err, errDirectory):
		response.redirect(req)
	default:
		response.fail(StatusOf(err))
	}
}

func isPage(req *FileRequest) bool {
	name := req.Path[bytes.LastIndexByte(req.Path, '/')+1:]
	return bytes.IndexByte(name, '.') < 0 || req.Parsed.HTML
}

func (f *Files) serve(t *view, path []byte, now int64, req *FileRequest, response *FileResponse) error {
	c := ReadConditions(req.Head, req.Parsed.Fields)
	key := f.key(path, req)
	for again := false; ; again = true {
		v, err := f.find(t, path, key, now, req)
		if err != nil {
			return err
		}
		err = f.answer(t, key, &v, req, &c, response)
		if err == nil || again {
			return err
		}
		// The file or a variant was removed after the last check of the disk, up to a second ago. answer has dropped
		// the path from the cache, so try again: if only a variant is missing, the original can be sent.
	}
}

// key returns the cache key of a path; the key of a listing also contains the order and the title.
func (f *Files) key(path []byte, req *FileRequest) []byte {
	if !f.opt.Listing || len(path) > 0 && path[len(path)-1] != '/' {
		return path
	}
	o := orderOf(req)
	return req.appendShown(append(bytes.Clone(path), 0, o.column, o.direction))
}

// answer fills response with the representation that the client prefers. It opens, reads or compresses the file
// if the content is needed but not in memory.
func (f *Files) answer(t *view, key []byte, v *variants, req *FileRequest, c *Conditions, response *FileResponse) error {
	r := v.choose(c)
	if r.answer(req, c, response, true) {
		return nil
	}
	if r.made {
		if r = f.make(t, key, v, r); r == nil {
			r = v[compress.Identity]
		}
		if r.answer(req, c, response, true) {
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
		// The file was replaced since the last check, and the response must describe the file that is open.
		f.cache.forget(key)
		current = newRepresentation(r.description, s, before)
	}
	if current.stamp.unsized {
		if current, err = readUnsized(file, current); err == nil {
			current.answer(req, c, response, false)
		}
		return err
	}
	loaded := f.load(file, current)
	if current == r && (loaded.open != nil || r.stamp.Settled(before)) {
		f.cache.load(key, r, loaded)
	}
	loaded.answer(req, c, response, false)
	if loaded.open != nil {
		loaded.open.release()
	}
	return nil
}

// Send sends the file with a name below the root. Hidden names are permitted, and ".." cannot lead outside. Send never
// uses a file such as x.gz as a compressed variant of x, because the two may be unrelated in an application's
// directory. If mediaType is "", the media type depends on the name of the file. On an error, response is unchanged.
//
// Send is safe for concurrent use. Send may block for the disk.
func (f *Files) Send(name, mediaType string, req *FileRequest, response *FileResponse) error {
	f.looking <- struct{}{}
	defer func() { <-f.looking }()
	t := f.root.at(f.clock())
	file, info, err := t.walk(name, toRead)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || f.opt.Private.has(info) {
		file.Close()
		return fs.ErrNotExist
	}
	if mediaType == "" {
		mediaType = f.types.of(name)
	}
	c := ReadConditions(req.Head, req.Parsed.Fields)
	s := stampOf(file, info)
	r := newRepresentation(description{name: name, mediaType: mediaType, common: t.hasCommonTime(name, &s)}, s, f.wall())
	if r.stamp.unsized {
		if r, err = readUnsized(file, r); err == nil {
			r.answer(req, &c, response, false)
		}
		return err
	}
	r = r.keptOpen(file)
	r.answer(req, &c, response, false)
	r.open.release()
	return nil
}

// answer fills response with the representation r. It returns false, and does not change response, if the content is
// needed but r is neither in memory nor open. If conditional is set, answer also returns false if the open file has
// changed.
func (r *representation) answer(req *FileRequest, c *Conditions, response *FileResponse, conditional bool) bool {
	head := req.Parsed.Head
	switch status := r.judge(c); {
	case status == 304:
		response.Head = exchange.Head{Status: 304, Fields: r.fields[:r.short], Length: -1}
		return true
	case status == 412:
		response.fail(412)
		return true
	case (r.made || r.stamp.unsized) && r.body == nil:
		return false
	}
	// Ranges apply only to GET (RFC 9110 §14.2).
	var buf [maxRanges]byteRange
	var ranges []byteRange
	partial := false
	if c.byteRange.set && !head {
		ranges, partial = appendRanges(buf[:0], c.Range(r.etag, r.lastModified), r.size)
	}
	if partial && len(ranges) == 0 {
		response.failRange(r.size)
		return true
	}
	if !head && r.body == nil {
		if !r.hold() {
			return false
		}
		if conditional && !r.open.is(r.stamp) {
			r.open.release()
			return false
		}
		response.file = r.open
	}
	switch {
	case len(ranges) == 1:
		response.onePart(r, ranges[0])
	case partial:
		response.manyParts(r, ranges)
	default:
		response.Head = exchange.Head{Status: 200, Fields: r.fields, Length: r.size}
		if !head {
			response.add(r, byteRange{0, r.size})
		}
	}
	return true
}

func (response *FileResponse) add(r *representation, part byteRange) {
	if part.count == 0 {
		return
	}
	if r.body != nil {
		response.Segments = append(response.Segments, Segment{Data: r.body[part.start : part.start+part.count]})
		return
	}
	file := exchange.File{FD: r.open.fd, Offset: part.start, Count: part.count, Warm: r.open.warm}
	response.Segments = append(response.Segments, Segment{File: file})
}

var contentType = []byte("Content-Type")

// FileRequest contains the parts of a request that Files needs. The slices of FileRequest are used only during Hit or
// Open; a FileResponse never refers to them. If Open is not called on the event loop's goroutine, the slices must be
// copies.
type FileRequest struct {
	// percent-decoded PATH_INFO: empty, or beginning with "/"
	Path []byte
	// decoded prefix that precedes the path of Head in the client's URL: "" or "/a/b"
	Prefix string
	Head   []byte         // request line and fields as received
	Parsed *http1.Request // method, raw path, query and fields, as spans into Head
}

// Segment is a part of a body: bytes in memory or, if Data is nil, a range of the response's file.
type Segment struct {
	Data []byte // valid until the FileResponse is closed
	exchange.File
}

// FileResponse is filled in by Hit or Open. The zero value is ready for use, and Close keeps its buffers, so that an
// event loop can reuse the FileResponse.
type FileResponse struct {
	// Head is complete except for Date, Server and framing. Length is the length of the body of a GET, even for HEAD,
	// and -1 for a 304, which has no body. An error has no body yet.
	Head exchange.Head

	// Segments are the body, in order; empty for HEAD and 304. If the file was truncated and is now shorter than its
	// segments, the connection must be closed.
	Segments []Segment

	// Index is the name of a directory's index file if this file is a program or has its own rules. The status is then
	// 404. Otherwise Index is empty.
	Index string

	file *openFile
	// memory of this response: fields, error text, heads of parts
	scratch []byte

	// The fields below are used only if an exchange sends the response.
	request FileRequest
	part    exchange.Part
	users   atomic.Int32
}

// Close releases the file, if any. Head and Segments must not be used after Close.
func (r *FileResponse) Close() {
	if r.file != nil {
		r.file.release()
	}
	clear(r.Segments)
	r.Segments, r.scratch = r.Segments[:0], r.scratch[:0]
	r.Head, r.Index, r.file, r.request = exchange.Head{}, "", nil, FileRequest{}
}

type Source struct {
	exchange.Memory
	files    *Files
	declines bool
}

func NewSource(files *Files, declines bool) *Source { return &Source{files: files, declines: declines} }

func (s *Source) Declines() bool { return s.declines }

// Start implements exchange.Source. If the file is not in memory, a goroutine opens it.
func (s *Source) Start(x *exchange.Exchange) {
	switch r := x.Req.Parsed; {
	// 405 is more useful than other errors, for example for a submitted form.
	case !r.Head && !r.Get:
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
	case x.Version.Has(http1.SharesConnection) && (!hit || a.file != nil) && !x.HoldDescriptor():
		a.drop()
		x.AwaitDescriptor()
		return
	case hit:
		a.send(x, true)
		return
	}
	a.offload(x, func() {
		a.request = requestOf(x)
		s.files.Open(&a.request, a)
	}, func() {
		if a.Index != "" && x.Decline(a.Index) || s.declines && a.Head.Status == 404 && x.Decline("") {
			a.drop()
		} else {
			a.send(x, true)
		}
	})
}

// offload calls open, which may block for the disk, on another goroutine. Then answer is called on the event loop,
// unless the client has disconnected. answer must call send or drop.
func (a *FileResponse) offload(x *exchange.Exchange, open, answer func()) {
	x.Offload(open, func(gone bool) {
		if gone {
			a.drop()
		} else {
			answer()
		}
	})
}

func requestOf(x *exchange.Exchange) FileRequest {
	r := x.Req
	return FileRequest{Path: r.Path[r.Script:], Prefix: x.Prefix, Head: r.Head, Parsed: r.Parsed}
}

var responses = sync.Pool{New: func() any { return new(FileResponse) }}

// newResponse returns a FileResponse from the pool; the caller must call its method send or drop.
func newResponse() *FileResponse {
	a := responses.Get().(*FileResponse)
	a.users.Store(1)
	return a
}

// drop ends one use of the response a; the last drop returns it to the pool.
func (a *FileResponse) drop() {
	if a.users.Add(-1) == 0 {
		a.Close()
		responses.Put(a)
	}
}

func (a *FileResponse) Release(p *exchange.Part) {
	if p.Last() {
		a.drop()
	}
}

// send sends the response to x, which must be in turn. If pages is set, send replaces an error by the site's error
// page.
func (a *FileResponse) send(x *exchange.Exchange, pages bool) {
	if h := &a.Head; pages && h.Status >= 400 {
		r := exchange.Reply{Status: h.Status, Text: strconv.Itoa(h.Status) + " " + http1.StatusText(h.Status),
			Fields: bytes.Clone(h.Fields), Close: h.Close, Date: h.HasDate, Server: h.HasServer}
		a.drop()
		x.Sink.Reply(r)
		return
	}
	x.SetSource(x.Source, "files")
	a.users.Add(1)
	p, n := &a.part, max(1, len(a.Segments))
	p.Owner, p.Head = a, a.Head
	for i := range n {
		p.First, p.Body, p.File = i == 0, nil, nil
		if p.End = exchange.NotLast; i == n-1 {
			p.End = exchange.Complete
		}
		if i < len(a.Segments) {
			s := &a.Segments[i]
			if p.Body = s.Data; s.Data == nil {
				p.File = &s.File
			}
		}
		x.Sink.Send(p)
	}
	a.drop()
}
