package static

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Handed answers the exchanges that handlers hand over to files: with a document root that they name (exchange.Head.Static), or with
// one file (SendFile). It is safe for concurrent use.
type Handed struct {
	private *Private

	mu    sync.Mutex
	roots map[string]*Files // that handlers have named, by their options

	// The directories of X-Sendfile, and those of X-Accel-Redirect by the beginnings of paths, without a slash at the end. They do not change
	// once they are open.
	named  []*Files
	mapped map[string]*Files
}

// Open opens the directories that files may be sent from: those of X-Sendfile and of X-Accel-Redirect. Private files are not sent. It must be
// called before Take. The error is one line.
func (h *Handed) Open(named []string, mapped []AccelRoot, private *Private) (err error) {
	h.private, h.mapped = private, map[string]*Files{}
	open := func(field, root string) *Files {
		files, e := New(Options{Root: root, CacheBytes: -1, Private: private})
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", field, e)
		}
		return files
	}
	for _, root := range named {
		h.named = append(h.named, open("X-Sendfile", root))
	}
	for _, one := range mapped {
		h.mapped[strings.TrimRight(one.Prefix, "/")] = open("X-Accel-Redirect", one.Root)
	}
	return err
}

// handedOver is a response from files that a handler has asked for, and the Source of its exchange.
type handedOver struct {
	exchange.Memory
	*Handed
	head   exchange.Head // with copies
	answer *Response
	err    error // why there is nothing to send
}

// Take answers x, whose turn it is, as p says, the first and last part of a handler's response. parsed is the request that p.Head.Request
// has. The part may be released when Take returns.
func (h *Handed) Take(x *exchange.Exchange, p *exchange.Part, parsed *http1.Request) {
	o := &handedOver{Handed: h, head: p.Head, answer: newResponse()}
	o.head.Static, o.head.Reason = bytes.Clone(p.Head.Static), bytes.Clone(p.Head.Reason)
	o.head.Fields, o.head.SendFile = bytes.Clone(p.Head.Fields), bytes.TrimSpace(bytes.Clone(p.Head.SendFile))
	o.answer.request = Request{Path: bytes.Clone(p.Head.StaticPath), Prefix: x.Prefix, Head: bytes.Clone(p.Head.Request), Parsed: parsed}
	x.Source = o
	x.Beside(o.open, func(gone bool) {
		switch {
		case gone:
			o.answer.drop()
		case o.err != nil:
			o.refuse(x)
		default:
			o.send(x)
		}
	})
}

// IsHandedOver reports whether files answer x because its handler has asked for that.
func IsHandedOver(x *exchange.Exchange) bool {
	_, is := x.Source.(*handedOver)
	return is
}

// sends reports whether the handler has named one file.
func (o *handedOver) sends() bool { return len(o.head.SendFile) > 0 }

// isError reports whether the handler's own status is that of an error, whose page is the file.
func (o *handedOver) isError() bool { return o.head.Status >= 400 }

// open opens the file. It may wait for the disk.
func (o *handedOver) open() {
	a := o.answer
	var files *Files
	if !o.sends() {
		if files, o.err = o.root(string(o.head.Static)); o.err == nil {
			files.Open(&a.request, a)
		}
		return
	}
	// RFC 9110 §13.1 and §14.2: conditions and ranges refer to the response that a GET of the
	// resource gives; an error page or the answer to a form is something else.
	request := a.request
	if o.isError() || !request.Parsed.Head && !request.Parsed.Get {
		bare := *request.Parsed
		bare.Fields = nil
		request.Parsed = &bare
	}
	var name string
	if files, name, o.err = o.find(string(o.head.SendFile), o.head.Accel); o.err == nil {
		o.err = files.Send(name, exchange.FieldValue(o.head.Fields, contentType), &request, a)
	}
}

// refuse answers that the file cannot be sent.
func (o *handedOver) refuse(x *exchange.Exchange) {
	r := exchange.Reply{Status: 500}
	level, line := logfile.Error, fmt.Sprintf("a handler returned files that cannot be sent: %v", o.err)
	if o.sends() {
		field, cause := "X-Sendfile", system.Cause(o.err)
		if o.head.Accel {
			field = "X-Accel-Redirect"
		}
		level, line = logfile.Warning, fmt.Sprintf("%s: %.512q cannot be sent: %v", field, o.head.SendFile, cause)
		if r.Status = 404; cause == unix.EMFILE || cause == unix.ENFILE {
			r.Status, r.Fields = 503, exchange.RetryAfter
		}
	}
	o.answer.drop()
	x.Log(level, line)
	x.Sink.Reply(r)
}

// send sends the response, with the fields of the handler.
func (o *handedOver) send(x *exchange.Exchange) {
	a := o.answer
	h, own := &a.Head, o.head.Fields
	failed := h.Status >= 400
	h.Close = o.head.Close
	switch {
	case o.sends() && failed && !o.isError(): // conditions or ranges
		a.send(x, true)
		return
	case o.sends():
		if o.isError() {
			h.Status, h.Reason = o.head.Status, o.head.Reason
		}
		own = ofFile(own, h.Status)
	case failed:
		own = exchange.WithoutField(own, contentType)
	}
	h.Fields = exchange.MergeFields(h.Fields, own)
	h.HasDate, h.HasServer = o.head.HasDate, o.head.HasServer
	a.send(x, failed)
}

// ofFile returns the fields of a handler that go with a file which it has sent, as a response with a status. What
// the server judges conditions and ranges by is the server's to say.
func ofFile(fields []byte, status int) (kept []byte) {
	for line := range bytes.Lines(fields) {
		name := exchange.FieldName(line)
		switch {
		case bytes.EqualFold(name, contentType), bytes.EqualFold(name, []byte("ETag")), bytes.EqualFold(name, []byte("Last-Modified")),
			bytes.EqualFold(name, []byte("Content-Range")), bytes.EqualFold(name, []byte("Accept-Ranges")):
		case status == 304 && http1.HasPrefixFold(name, "content-"): // RFC 9110 §15.4.5
		default:
			kept = append(kept, line...)
		}
	}
	return kept
}

// maxRoots bounds the document roots that handlers have named. An application
// has a few; one that makes up new ones all the time pays with reopening them.
const maxRoots = 64

// root opens a document root that a handler has named, unless it is open. It may block.
func (h *Handed) root(options string) (*Files, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if files := h.roots[options]; files != nil {
		return files, nil
	}
	o, err := ParseOptions(options)
	if err != nil {
		return nil, err
	}
	o.Private = h.private
	files, err := New(o)
	if err != nil {
		return nil, err
	}
	if len(h.roots) >= maxRoots || h.roots == nil {
		h.roots = make(map[string]*Files) // jobs still use the old ones: the collector closes them
	}
	h.roots[options] = files
	return files, nil
}

// AccelRoot maps paths that begin with Prefix to files below Root.
type AccelRoot struct{ Prefix, Root string }

// String is "/prefix/=/directory".
func (r AccelRoot) String() string { return r.Prefix + "=" + r.Root }

var errNotSent = errors.New("not in a directory from which files may be sent")

// find returns the directory and the name in it that the value of X-Sendfile, or of X-Accel-Redirect if accel, means.
// That name is for view.walk, which does not let it lead outside.
func (h *Handed) find(value string, accel bool) (found *Files, name string, err error) {
	if accel {
		return h.findMapped(value)
	}
	value = filepath.Clean(value)
	if !filepath.IsAbs(value) && len(h.named) > 0 {
		return h.named[0], value, nil
	}
	for _, files := range h.named { // of several, the innermost
		if rest, err := files.root.at(files.clock()).below(value); err == nil && (found == nil || len(rest) < len(name)) {
			found, name = files, rest
		}
	}
	if found == nil {
		return nil, "", errNotSent
	}
	return found, name, nil
}

// findMapped takes a path as in a URL.
func (h *Handed) findMapped(value string) (found *Files, name string, err error) {
	value, _, _ = strings.Cut(value, "?")
	decoded, err := url.PathUnescape(value)
	if err != nil || !strings.HasPrefix(value, "/") || strings.ContainsRune(decoded, 0) {
		return nil, "", errors.New("it is not a URL path")
	}
	resolved, ok := http1.ResolvePath(nil, []byte(value))
	if !ok {
		return nil, "", errors.New("its dot segments cannot be resolved")
	}
	whole := http1.MergeSlashes(nil, resolved)
	for prefix, files := range h.mapped {
		if http1.IsBelow(whole, prefix) && (found == nil || len(whole)-len(prefix) < len(name)) {
			found, name = files, string(whole[len(prefix):])
		}
	}
	if found == nil {
		return nil, "", errNotSent
	}
	return found, strings.Trim(name, "/"), nil
}

// Send answers with the file that a name below the root means to the file
// system: hidden names and ".." are names like others (none leads
// outside), and there are no variants, as the names are not the client's but
// those of an application, in whose directory x and x.gz may be two things.
// mediaType "" is found by name. Nothing is filled in when there is an error.
//
// Any goroutine may call it; it may wait for the disk.
func (f *Files) Send(name, mediaType string, req *Request, out *Response) error {
	f.looking <- struct{}{}
	defer func() { <-f.looking }()
	file, info, err := f.root.at(f.clock()).walk(name, toRead)
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
	r := newRepresentation(description{name: name, mediaType: mediaType}, stampOf(file, info), f.wall())
	if r.stamp.unsized {
		if r, err = readUnsized(file, r); err == nil {
			r.answer(req, &c, out, false)
		}
		return err
	}
	r = r.keptOpen(file)
	r.answer(req, &c, out, false)
	r.open.release()
	return nil
}
