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

// Handed sends files on behalf of handlers. A handler's response names a document root or a single file. Handed is safe
// for concurrent use.
type Handed struct {
	private *Private

	mu    sync.Mutex
	roots map[string]*Files // opened document roots, by the JSON text of their Options

	// The directories for X-Sendfile (named) and for X-Accel-Redirect (mapped, by path prefix without a trailing
	// slash). They do not change after Open.
	named  []*Files
	mapped map[string]*Files
}

// Files in private are not sent. Open must be called before Take.
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

type handedOver struct {
	exchange.Memory
	*Handed
	head exchange.Head // the handler's response head, whose slices are copies
	// Options of a document root as JSON, or the name of the header field that names a file
	options string
	name    string // value of that header field; empty for a document root
	answer  *FileResponse
	err     error // why no file can be sent; nil on success
}

// accelRedirect is a header field whose value is a URL path, whereas the value of X-Sendfile is a file system path.
const accelRedirect = "X-Accel-Redirect"

// Take responds to x with a file. x must be in turn. p is the only part of the handler's response; the caller may
// release p when Take returns. If name is not empty, it is the value of the header field r.Options, which names a
// single file. Otherwise r.Options describes a document root, and Take sends the file r.Path from there.
func (h *Handed) Take(x *exchange.Exchange, p *exchange.Part, r *exchange.Request, name []byte) {
	o := &handedOver{Handed: h, head: p.Head, options: r.Options, name: string(bytes.TrimSpace(name)),
		answer: newResponse()}
	o.head.Fields, o.head.Reason = bytes.Clone(p.Head.Fields), bytes.Clone(p.Head.Reason)
	o.answer.request = FileRequest{Path: bytes.Clone(r.Path), Prefix: x.Prefix, Head: bytes.Clone(r.Head), Parsed: r.Parsed}
	x.SetSource(o, "")
	o.answer.offload(x, o.open, func() {
		if o.err != nil {
			o.refuse(x)
		} else {
			o.send(x)
		}
	})
}

func (o *handedOver) sends() bool { return o.name != "" }

func (o *handedOver) isError() bool { return o.head.Status >= 400 }

// open opens the file that the response names, and may block for the disk.
func (o *handedOver) open() {
	a := o.answer
	var files *Files
	if !o.sends() {
		if files, o.err = o.root(o.options); o.err == nil {
			files.Open(&a.request, a)
		}
		return
	}
	// Conditions and ranges apply only to the successful response to a GET (RFC 9110 §13.1 and §14.2), so ignore them
	// for error pages and for methods other than GET and HEAD.
	request := a.request
	if o.isError() || !request.Parsed.Head && !request.Parsed.Get {
		bare := *request.Parsed
		bare.Fields = nil
		request.Parsed = &bare
	}
	var name string
	if files, name, o.err = o.find(o.name, o.options == accelRedirect); o.err == nil {
		o.err = files.Send(name, http1.FieldValue(o.head.Fields, contentType), &request, a)
	}
}

func (o *handedOver) refuse(x *exchange.Exchange) {
	r := exchange.Reply{Status: 500}
	level, line := logfile.Error, fmt.Sprintf("a handler returned files that cannot be sent: %v", o.err)
	if o.sends() {
		cause := system.Cause(o.err)
		level, line = logfile.Warning, fmt.Sprintf("%s: %.512q cannot be sent: %v", o.options, o.name, cause)
		if r.Status = 404; cause == unix.EMFILE || cause == unix.ENFILE {
			r.Status, r.Fields = 503, exchange.RetryAfter
		}
	}
	o.answer.drop()
	x.Log(level, line)
	x.Sink.Reply(r)
}

func (o *handedOver) send(x *exchange.Exchange) {
	a := o.answer
	h, own := &a.Head, o.head.Fields
	failed := h.Status >= 400
	h.Close, h.Then = o.head.Close, o.head.Then
	switch {
	// a condition of the request is false (412), or its range is invalid (416)
	case o.sends() && failed && !o.isError():
		a.send(x, true)
		return
	case o.sends():
		if o.isError() {
			h.Status, h.Reason = o.head.Status, o.head.Reason
		}
		own = ofFile(own, h.Status)
	case failed:
		own = http1.WithoutField(own, contentType)
	}
	h.Fields = http1.MergeFields(h.Fields, own)
	h.HasDate, h.HasServer = o.head.HasDate, o.head.HasServer
	a.send(x, failed)
}

// ofFile returns the header fields that a file's response with the given status keeps from the handler's response. The
// server itself sets validators and fields for ranges.
func ofFile(fields []byte, status int) []byte {
	return http1.AppendFields(nil, fields, func(name []byte) bool {
		switch string(bytes.ToLower(name)) {
		case "content-type", "etag", "last-modified", "content-range", "accept-ranges":
			return true
		}
		return status == 304 && http1.HasPrefixFold(name, "content-") // RFC 9110 §15.4.5
	})
}

// maxRoots limits the open document roots that handlers have named. When a handler names one more, all open document
// roots are dropped.
const maxRoots = 64

// root returns the document root with these options. root may block for the disk, because it opens the document root if
// necessary.
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
		// Do not close the old roots, because running jobs may still use them. The garbage collector closes them.
		h.roots = make(map[string]*Files)
	}
	h.roots[options] = files
	return files, nil
}

type AccelRoot struct{ Prefix, Root string }

func (r AccelRoot) String() string { return r.Prefix + "=" + r.Root }

var errNotSent = errors.New("not in a directory from which files may be sent")

// find returns the directory that contains a file, and the file's name below this directory. value is from
// X-Accel-Redirect if accel is true, otherwise from X-Sendfile. The name may be opened only by view.walk, which cannot
// leave the directory.
func (h *Handed) find(value string, accel bool) (found *Files, name string, err error) {
	if accel {
		return h.findMapped(value)
	}
	value = filepath.Clean(value)
	if !filepath.IsAbs(value) && len(h.named) > 0 {
		return h.named[0], value, nil
	}
	for _, files := range h.named {
		if rest, err := files.root.at(files.clock()).below(value); err == nil && (found == nil || len(rest) < len(name)) {
			found, name = files, rest
		}
	}
	if found == nil {
		return nil, "", errNotSent
	}
	return found, name, nil
}

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
