package static

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"fapws/runtime/exchange"
)

// Hit answers a request from memory: no system call, no allocation. It
// returns false, with out unchanged, when that cannot be done; Open can.
// now is the time when the process started, in nanoseconds since 1970, plus the
// monotonic time since then; it may be up to a second late. Any goroutine may call it; it never waits for the disk.
func (f *Files) Hit(now int64, req *Request, out *Response) bool {
	if !req.Parsed.Head && !isGet(req) {
		out.fail(405, false)
		return true
	}
	v, ok := f.cache.get(req.Path, now)
	if !ok {
		return false
	}
	fields := readFields(req)
	return v.choose(req, &fields).answer(req, &fields, out, nil)
}

// Open answers a request, whatever it takes: it may wait for the disk and may
// leave a file open in out (Close it). Any goroutine may call it, any number
// at the same time.
func (f *Files) Open(req *Request, out *Response) {
	head := req.Parsed.Head
	if !head && !isGet(req) {
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
	dir := f.root.at(now)
	err := f.serve(dir, path, now, req, out)
	switch {
	case err == nil:
	case errors.Is(err, errDirectory):
		out.redirect(req)
	case errors.Is(err, errListing):
		f.list(dir, string(path), req, out)
	default:
		out.fail(statusOf(err), head)
	}
}

// serve sends the file that a clean path names.
func (f *Files) serve(dir *os.Root, path []byte, now int64, req *Request, out *Response) error {
	fields := readFields(req)
	for again := false; ; again = true {
		v, err := f.find(dir, path, now)
		if err != nil {
			return err
		}
		err = f.answer(dir, path, v.choose(req, &fields), req, &fields, out)
		if err == nil || again {
			return err
		}
		// It was there when somebody looked, up to a second ago. Now that it
		// is forgotten, look again: perhaps only a variant is gone.
	}
}

// find returns the representations of what a clean path names, from memory if
// the disk was looked at within the last second.
func (f *Files) find(dir *os.Root, path []byte, now int64) (v variants, err error) {
	v, fresh, ok := f.cache.known(path, now)
	if fresh {
		return v, nil
	}
	s, err := f.look(dir, string(path))
	if err != nil {
		f.cache.forget(path)
		return v, err
	}
	if ok && s.matches(&v) {
		f.cache.seen(path, &v, now)
		return v, nil
	}
	v = f.describe(&s, f.wall())
	f.cache.put(string(path), v, now)
	return v, nil
}

// choose returns the representation that the client prefers.
func (v *variants) choose(req *Request, fields *fields) *representation {
	if !fields.acceptEncoding {
		return v[identity]
	}
	has := v.has()
	return v[chooseCoding(req, &has)]
}

// answer sends a representation; it opens or reads the file when its bytes
// are needed and not in memory.
func (f *Files) answer(dir *os.Root, path []byte, r *representation, req *Request, fields *fields, out *Response) error {
	if r.answer(req, fields, out, nil) {
		return nil
	}
	file, err := openFile(dir, r.name)
	if err != nil {
		f.cache.forget(path)
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		f.cache.forget(path)
		return err
	}
	current := r
	if s := stampOf(info); s != r.stamp {
		// It is another file now than the one that was looked at. What is
		// promised has to be true of the one that is open.
		f.cache.forget(path)
		current = newRepresentation(r.description, s, f.wall())
	}
	before := f.wall()
	if loaded := f.load(file, current); loaded != nil {
		file.Close()
		if current == r && r.stamp.settled(before) {
			f.cache.load(path, r, loaded)
		}
		loaded.answer(req, fields, out, nil)
		return nil
	}
	if !current.answer(req, fields, out, file) || out.file != file {
		file.Close()
	}
	return nil
}

// load reads a small file. nil: it is not small, or is being written to, and
// then what was read may be neither the old content nor the new.
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
// are needed but r is not in memory and there is no file either; file, if it
// is needed, becomes out's.
func (r *representation) answer(req *Request, fields *fields, out *Response, file *os.File) bool {
	head := req.Parsed.Head
	switch r.judge(req, fields) {
	case notModified:
		out.Head = exchange.Head{Status: 304, Fields: r.fields[:r.short], Length: -1}
		return true
	case preconditionFailed:
		out.fail(412, head)
		return true
	}
	ready := head || r.body != nil || file != nil
	// Ranges are for GET alone (RFC 9110 §14.2).
	if fields.byteRange.set && !head && r.rangeApplies(fields) {
		var set rangeSet
		switch set.parse(fields.byteRange.value, r.stamp.size) {
		case unsatisfiable:
			out.failRange(r.stamp.size)
			return true
		case someRanges:
			if ready {
				out.partial(r, set.r[:set.n])
				out.keep(r, file)
			}
			return ready
		}
	}
	if ready {
		out.Head = exchange.Head{Status: 200, Fields: r.fields, Length: r.stamp.size}
		if !head {
			out.add(r, byteRange{0, r.stamp.size})
			out.keep(r, file)
		}
	}
	return ready
}

// keep makes the file out's if the body is in it.
func (out *Response) keep(r *representation, file *os.File) {
	if r.body == nil {
		out.file = file
	}
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
