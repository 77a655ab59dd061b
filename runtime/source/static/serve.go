package static

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Hit answers a request from memory, without a system call, or from a file that
// is open already, which it looks at with fstat(2): it allocates nothing. It
// returns false, with out unchanged, when that cannot be done; Open can.
// now is the time when the process started, in nanoseconds since 1970, plus the
// monotonic time since then; it may be up to a second late. Any goroutine may
// call it; it never waits for the disk.
func (f *Files) Hit(now int64, req *Request, out *Response) bool {
	if !req.Parsed.Head && !req.Parsed.Get {
		out.fail(405, false)
		return true
	}
	var buf [256]byte
	v, ok := f.cache.get(f.key(buf[:], req.Path, req), now)
	if !ok || v[Identity].listing != nil && !v[Identity].listing.is(req) {
		return false
	}
	fields := readFields(req)
	r := v.choose(req, &fields)
	if !r.answer(req, &fields, out, nil) {
		return false
	}
	if out.file != nil && !out.file.is(r.stamp) {
		out.Close()
		return false
	}
	return true
}

// Open answers a request, whatever it takes: it may wait for the disk and may
// leave a file open in out (Close it). Any goroutine may call it, any number
// at the same time.
func (f *Files) Open(req *Request, out *Response) {
	head := req.Parsed.Head
	if !head && !req.Parsed.Get {
		out.fail(405, false)
		return
	}
	var buf [256]byte
	path, ok := cleanPath(buf[:], req.Path, f.opt.DotFiles)
	if !ok {
		out.fail(404, head)
		return
	}
	now := f.clock()
	t := f.root.at(now)
	err := f.serve(t, path, now, req, out)
	var index program
	if errors.As(err, &index) {
		out.fail(404, head)
		out.Index = string(index)
		return
	}
	if err != nil && f.opt.SPA != "" && !errors.Is(err, errDirectory) && statusOf(err) == 404 && isPage(req) {
		err = f.serve(t, []byte("/"+f.opt.SPA), now, req, out)
	}
	switch {
	case err == nil:
	case errors.Is(err, errDirectory):
		out.redirect(req)
	default:
		out.fail(statusOf(err), head)
	}
}

// isPage tells whether a request looks like one for a page, rather than for
// something in a page: no extension, or text/html is accepted by name.
func isPage(req *Request) bool {
	name := req.Path[bytes.LastIndexByte(req.Path, '/')+1:]
	return bytes.IndexByte(name, '.') < 0 || WantsHTML(req.Parsed, req.Head)
}

// serve sends the file or directory at a clean path.
func (f *Files) serve(t *view, path []byte, now int64, req *Request, out *Response) error {
	fields := readFields(req)
	for again := false; ; again = true {
		v, err := f.find(t, path, now, req)
		if err != nil {
			return err
		}
		err = f.answer(t, path, &v, req, &fields, out)
		if err == nil || again {
			return err
		}
		// It was there at the last look, up to a second ago. Now that it is forgotten, look again: perhaps only a
		// variant is gone.
	}
}

// key returns the key of a clean path in the cache: itself, but for a listing in another order. buf is used for that
// one.
func (f *Files) key(buf, path []byte, req *Request) []byte {
	if f.opt.Listing && (len(path) == 0 || path[len(path)-1] == '/') {
		if o := f.order(req); o != byName {
			return append(append(buf[:0], path...), 0, o.column, o.direction) // no clean path has a zero
		}
	}
	return path
}

// find returns the representations of the file at a clean path, from memory if the disk was looked at within the last
// second.
func (f *Files) find(t *view, path []byte, now int64, req *Request) (v variants, err error) {
	key := f.key(nil, path, req)
	v, fresh, ok := f.cache.known(key, now)
	if fresh && (v[Identity].listing == nil || v[Identity].listing.is(req)) {
		return v, nil
	}
	s, err := f.look(t, string(path))
	if errors.Is(err, errListing) {
		return f.findListing(t, path, key, now, req)
	}
	if err != nil {
		f.cache.forget(key)
		return v, err
	}
	if ok && s.matches(&v) {
		f.warm(&v)
		f.cache.seen(key, &v, now)
		return v, nil
	}
	if err := t.shows(s.name); err != nil { // some answers open no file
		f.cache.forget(key)
		return v, err
	}
	v = f.describe(&s, f.wall())
	f.cache.put(string(key), v, now)
	return v, nil
}

// findListing makes the page for a directory, one at a time: for a large one it takes long, and a caller that has
// waited for its turn finds it made.
func (f *Files) findListing(t *view, path, key []byte, now int64, req *Request) (v variants, err error) {
	f.listing.Lock()
	defer f.listing.Unlock()
	v, fresh, _ := f.cache.known(key, now)
	if fresh && v[Identity].listing != nil && v[Identity].listing.is(req) {
		return v, nil
	}
	v, err = f.list(t, string(path), req)
	if err == nil {
		f.cache.put(string(key), v, now)
	}
	return v, err
}

// warmMost is the size of the largest file that is Warm.
const warmMost = 1 << 20

// warm reads the files that are kept open and sent without a look at them.
func (f *Files) warm(v *variants) {
	for _, r := range v {
		if r != nil && r.open != nil && r.size <= warmMost && r.open.hold() {
			r.open.read(r.size)
			r.open.release()
		}
	}
}

// answer sends the representation that the client prefers; it opens, reads or
// makes it when its bytes are needed and not in memory.
func (f *Files) answer(t *view, path []byte, v *variants, req *Request, fields *fields, out *Response) error {
	key := f.key(nil, path, req)
	r := v.choose(req, fields)
	if r.answer(req, fields, out, nil) {
		if out.file == nil || out.file.is(r.stamp) {
			return nil
		}
		out.Close() // the open file has changed
		f.cache.forget(key)
	}
	if r.made {
		made := f.make(t, key, v, r)
		if made != nil {
			made.answer(req, fields, out, nil)
			return nil
		}
		if r = v[Identity]; r.answer(req, fields, out, nil) {
			return nil
		}
	}
	file, err := t.open(r.name)
	if err != nil {
		f.cache.forget(key)
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		f.cache.forget(key)
		return err
	}
	current := r
	if s := stampOf(info); s != r.stamp {
		// It is another file now than the one that was looked at. The response has to describe the one that is
		// open.
		f.cache.forget(key)
		current = newRepresentation(r.description, s, f.wall())
	}
	before := f.wall()
	if loaded := f.load(file, current); loaded != nil {
		file.Close()
		if current == r && r.stamp.settled(before) {
			f.cache.load(key, r, loaded)
		}
		loaded.answer(req, fields, out, nil)
		return nil
	}
	open := newOpenFile(file)
	defer open.release()
	if current == r && f.opt.CacheBytes > 0 {
		if r.size <= warmMost {
			open.read(r.size)
		}
		f.cache.load(key, r, r.keptOpen(open))
	}
	current.answer(req, fields, out, open)
	return nil
}

// load reads a small file. nil: it is not small, or is being written to, and then the bytes that were read may be
// neither the old content nor the new.
func (f *Files) load(file *os.File, r *representation) *representation {
	if r.stamp.size > int64(f.opt.CacheFileBytes) {
		return nil
	}
	body := make([]byte, r.stamp.size)
	if _, err := io.ReadFull(file, body); err != nil {
		return nil
	}
	if info, err := file.Stat(); err != nil || stampOf(info) != r.stamp {
		return nil
	}
	return r.withBody(body)
}

// answer fills in out. It returns false, with out unchanged, when the bytes
// are needed but r is neither in memory nor open and there is no file either;
// out takes hold of the file that it needs.
func (r *representation) answer(req *Request, fields *fields, out *Response, file *openFile) bool {
	head := req.Parsed.Head
	switch r.judge(req, fields) {
	case notModified:
		out.Head = exchange.Head{Status: 304, Fields: r.fields[:r.short], Length: -1}
		return true
	case preconditionFailed:
		out.fail(412, head)
		return true
	}
	if r.made && r.body == nil {
		return false // its size is not known
	}
	// Ranges are for GET alone (RFC 9110 §14.2).
	var set rangeSet
	ranges := wholeFile
	if fields.byteRange.set && !head && r.rangeApplies(fields) {
		ranges = set.parse(fields.byteRange.value, r.size)
	}
	if ranges == unsatisfiable {
		out.failRange(r.size)
		return true
	}
	if !head && r.body == nil {
		if file == nil {
			file = r.open
			out.Warm = r.size <= warmMost
		}
		if file == nil || !file.hold() {
			out.Warm = false
			return false
		}
		out.file = file
	}
	if ranges == someRanges {
		out.partial(r, set.r[:set.n])
		return true
	}
	out.Head = exchange.Head{Status: 200, Fields: r.fields, Length: r.size}
	if !head {
		out.add(r, byteRange{0, r.size})
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

// reply returns the error that res is, as an answer to req.
func (res *Response) reply(req *Request) exchange.Reply {
	r := exchange.Reply{Status: res.Head.Status, HTML: WantsHTML(req.Parsed, req.Head)}
	if !r.HTML {
		r.Text = strconv.Itoa(r.Status) + " " + http1.StatusText(r.Status)
		if len(res.Segments) == 1 {
			r.Text = strings.TrimSuffix(string(res.Segments[0].Data), "\n")
		}
	}
	for line := range bytes.Lines(res.Head.Fields) {
		if !bytes.EqualFold(exchange.FieldName(line), contentType) {
			r.Fields = append(r.Fields, line...)
		}
	}
	return r
}

var contentType = []byte("Content-Type")
