package static

import (
	"bytes"
	"errors"
	"fmt"
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
	roots   roots

	// The folders of X-Sendfile and of X-Accel-Redirect. They do not change once they are open.
	named, mapped []sendRoot
}

// Open opens the folders that files may be sent from: those of X-Sendfile and of X-Accel-Redirect. Private files are not sent. It must be
// called before Take. The error is one line.
func (h *Handed) Open(named []string, mapped []AccelRoot, private *Private) (err error) {
	h.private = private
	add := func(to *[]sendRoot, field, prefix, root string) {
		files, e := New(Options{Root: root, CacheBytes: -1, Private: private})
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", field, e)
		}
		*to = append(*to, sendRoot{strings.TrimRight(prefix, "/"), files})
	}
	for _, root := range named {
		abs, e := filepath.Abs(root)
		if e != nil {
			return fmt.Errorf("X-Sendfile: %s: %w", root, e)
		}
		add(&h.named, "X-Sendfile", abs, abs)
	}
	for _, one := range mapped {
		add(&h.mapped, "X-Accel-Redirect", one.Prefix, one.Root)
	}
	return err
}

// handedOver is a response from files that a handler has asked for.
type handedOver struct {
	*Handed
	head   exchange.Head // with copies
	answer *Answer

	failed int           // status, if there is nothing to send; 0: there is
	level  logfile.Level // of line
	line   string        // why, for the error log
}

// Take answers x, whose turn it is, as p says, the first and last part of a handler's response. parsed is the request that p.Head.Request
// has. The part may be released when Take returns.
func (h *Handed) Take(x *exchange.Exchange, p *exchange.Part, parsed *http1.Request) {
	o := &handedOver{Handed: h, head: p.Head, answer: NewAnswer()}
	o.head.Static, o.head.Reason = bytes.Clone(p.Head.Static), bytes.Clone(p.Head.Reason)
	o.head.Fields, o.head.SendFile = bytes.Clone(p.Head.Fields), bytes.TrimSpace(bytes.Clone(p.Head.SendFile))
	o.answer.request = Request{Path: bytes.Clone(p.Head.StaticPath), Prefix: x.Prefix, Head: bytes.Clone(p.Head.Request), Parsed: parsed}
	x.Source = exchange.Memory{}
	x.Beside(o.open, func(gone bool) {
		if gone {
			o.answer.Drop()
			return
		}
		o.send(x)
	})
}

// open opens the file. It may wait for the disk.
func (o *handedOver) open() {
	a := o.answer
	if len(o.head.SendFile) > 0 {
		o.openSent()
		return
	}
	files, err := o.roots.get(string(o.head.Static), o.private)
	if err == nil {
		files.Open(&a.request, &a.Response)
		return
	}
	o.failed, o.level, o.line = 500, logfile.Error, fmt.Sprintf("a handler returned files that cannot be sent: %v", err)
}

// openSent opens the file that SendFile names.
func (o *handedOver) openSent() {
	a := o.answer
	// RFC 9110 §13.1 and §14.2: conditions and ranges refer to the response that a GET of the
	// resource gives; an error page or the answer to a form is something else.
	request := a.request
	if o.isError() || !request.Parsed.Head && !request.Parsed.Get {
		bare := *request.Parsed
		bare.Fields = nil
		request.Parsed = &bare
	}
	files, name, err := o.find(string(o.head.SendFile), o.head.Accel)
	if err == nil {
		err = files.Send(name, exchange.FieldValue(o.head.Fields, contentType), &request, &a.Response)
	}
	if err == nil {
		return
	}
	field := "X-Sendfile"
	if o.head.Accel {
		field = "X-Accel-Redirect"
	}
	o.failed, o.level, o.line = 404, logfile.Warning, fmt.Sprintf("%s: %.512q cannot be sent: %v", field, o.head.SendFile, system.Cause(err))
	if cause := system.Cause(err); cause == unix.EMFILE || cause == unix.ENFILE {
		o.failed = 503
	}
}

// isError reports whether the handler's own status is that of an error, whose page is the file.
func (o *handedOver) isError() bool { return o.head.Status >= 400 }

// send sends the response, with the fields of the handler.
func (o *handedOver) send(x *exchange.Exchange) {
	a := o.answer
	h := &a.Head
	h.Close = o.head.Close
	switch sent := len(o.head.SendFile) > 0; {
	case o.failed != 0:
		x.Log(o.level, o.line)
		r := exchange.Reply{Status: o.failed, HTML: exchange.WantsHTML(a.request.Parsed, a.request.Head)}
		a.Drop()
		if o.failed == 503 {
			r.Fields = exchange.RetryAfter
		}
		x.Sink.Reply(r)
		return
	case sent && !o.isError() && h.Status >= 400: // conditions or ranges
		a.Send(x, true)
		return
	case sent:
		if o.isError() {
			h.Status, h.Reason = o.head.Status, o.head.Reason
		}
		h.Fields = o.addTo(h.Fields, h.Status)
		h.HasDate, h.HasServer = o.head.HasDate, o.head.HasServer
	case h.Status >= 400:
		r := a.reply(&a.request)
		a.Drop()
		r.Fields = exchange.MergeFields(r.Fields, exchange.WithoutField(o.head.Fields, contentType))
		r.Date, r.Server = o.head.HasDate, o.head.HasServer
		x.Sink.Reply(r)
		return
	default:
		h.Fields = exchange.MergeFields(h.Fields, o.head.Fields)
		h.HasDate, h.HasServer = o.head.HasDate, o.head.HasServer
	}
	a.Send(x, false)
}

// addTo adds the handler's fields to those of a file that it has sent. What
// the server judges conditions and ranges by is the server's to say.
func (o *handedOver) addTo(file []byte, status int) []byte {
	out := bytes.Clone(file)
	for line := range bytes.Lines(o.head.Fields) {
		name := exchange.FieldName(line)
		switch {
		case bytes.EqualFold(name, contentType), bytes.EqualFold(name, []byte("ETag")), bytes.EqualFold(name, []byte("Last-Modified")),
			bytes.EqualFold(name, []byte("Content-Range")), bytes.EqualFold(name, []byte("Accept-Ranges")):
		case status == 304 && len(name) > 8 && bytes.EqualFold(name[:8], []byte("Content-")): // RFC 9110 §15.4.5
		case exchange.HasField(file, name):
		default:
			out = append(out, line...)
		}
	}
	return out
}

// maxRoots bounds the document roots that handlers have named. An application
// has a few; one that makes up new ones all the time pays with reopening them.
const maxRoots = 64

// roots are the document roots that handlers have handed requests over to, by
// their options. Any goroutine may use them.
type roots struct {
	mu    sync.Mutex
	files map[string]*Files
}

// get opens a root, without some files, unless it is open. It may block.
func (r *roots) get(options string, private *Private) (*Files, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if files := r.files[options]; files != nil {
		return files, nil
	}
	o, err := ParseOptions(options)
	if err != nil {
		return nil, err
	}
	o.Private = private
	files, err := New(o)
	if err != nil {
		return nil, err
	}
	if len(r.files) >= maxRoots || r.files == nil {
		r.files = make(map[string]*Files) // jobs still use the old ones: the collector closes them
	}
	r.files[options] = files
	return files, nil
}

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

// AccelRoot maps paths that begin with Prefix to files below Root.
type AccelRoot struct{ Prefix, Root string }

// String is "/prefix/=/folder".
func (r AccelRoot) String() string { return r.Prefix + "=" + r.Root }

// sendRoot is a folder of which a handler may have files sent.
type sendRoot struct {
	prefix string // beginning of the names of its files, without a slash at the end
	files  *Files
}

var errNotSent = errors.New("not in a directory from which files may be sent")

// find returns the folder and the name in it that the value of X-Sendfile, or of X-Accel-Redirect if accel, means.
// That name is for os.Root, which does not let it lead outside.
func (h *Handed) find(value string, accel bool) (*Files, string, error) {
	if accel {
		return h.findMapped(value)
	}
	name := filepath.Clean(value)
	if !filepath.IsAbs(name) {
		if len(h.named) == 0 {
			return nil, "", errNotSent
		}
		return h.named[0].files, name, nil
	}
	if root, rest := longest(h.named, name); root != nil {
		return root.files, rest, nil
	}
	// Frameworks like to give the path with its links resolved.
	for i := range h.named {
		real, err := filepath.EvalSymlinks(h.named[i].prefix + "/")
		if err == nil && http1.IsBelow([]byte(name), strings.TrimRight(real, "/")) {
			return h.named[i].files, relative(name, strings.TrimRight(real, "/")), nil
		}
	}
	return nil, "", errNotSent
}

// findMapped takes a path as in a URL.
func (h *Handed) findMapped(value string) (*Files, string, error) {
	value, _, _ = strings.Cut(value, "?")
	decoded, err := url.PathUnescape(value)
	if err != nil || !strings.HasPrefix(value, "/") || strings.ContainsRune(decoded, 0) {
		return nil, "", errors.New("it is not a URL path")
	}
	resolved, ok := http1.ResolvePath(nil, []byte(value))
	if !ok {
		return nil, "", errors.New("its dot segments cannot be resolved")
	}
	if root, rest := longest(h.mapped, strings.TrimRight(string(http1.MergeSlashes(nil, resolved)), "/")); root != nil {
		return root.files, rest, nil
	}
	return nil, "", errNotSent
}

// longest returns the root with the longest prefix that name is below, and the
// rest of the name.
func longest(roots []sendRoot, name string) (root *sendRoot, rest string) {
	for i := range roots {
		if http1.IsBelow([]byte(name), roots[i].prefix) && (root == nil || len(roots[i].prefix) > len(root.prefix)) {
			root, rest = &roots[i], relative(name, roots[i].prefix)
		}
	}
	return root, rest
}

func relative(name, prefix string) string {
	if rest := strings.TrimLeft(name[len(prefix):], "/"); rest != "" {
		return rest
	}
	return "."
}
