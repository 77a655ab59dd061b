package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/static"

	"golang.org/x/sys/unix"
)

// sendRoot is a folder of which a handler may have files sent.
type sendRoot struct {
	prefix string // what the names of its files begin with, without a slash at the end
	files  *static.Files
}

// sendRoots are those of X-Sendfile and of X-Accel-Redirect. They do not change
// once they are open; any goroutine may use them.
type sendRoots struct{ named, mapped []sendRoot }

// open opens the folders of cfg. The error is one line.
func (r *sendRoots) open(cfg *Config) (err error) {
	add := func(to *[]sendRoot, field, prefix, root string) {
		files, e := static.New(static.Options{Root: root, CacheBytes: -1, Private: cfg.Private})
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", field, e)
		}
		*to = append(*to, sendRoot{strings.TrimRight(prefix, "/"), files})
	}
	for _, root := range cfg.SendfileRoots {
		abs, e := filepath.Abs(root)
		if e != nil {
			return fmt.Errorf("X-Sendfile: %s: %w", root, e)
		}
		add(&r.named, "X-Sendfile", abs, abs)
	}
	for _, one := range cfg.AccelRoots {
		add(&r.mapped, "X-Accel-Redirect", one.Prefix, one.Root)
	}
	return err
}

var errOutside = errors.New("it is in none of the folders that may be sent from")

// find returns the folder and the name in it that a field of a response means.
// That name is for os.Root, which does not let it lead outside.
func (r *sendRoots) find(f *sentFile) (*static.Files, string, error) {
	if f.accel {
		return r.findMapped(f.value)
	}
	name := filepath.Clean(f.value)
	if !filepath.IsAbs(name) {
		if len(r.named) == 0 {
			return nil, "", errOutside
		}
		return r.named[0].files, name, nil
	}
	if root, rest := longest(r.named, name); root != nil {
		return root.files, rest, nil
	}
	// Frameworks like to give the path with its links resolved.
	for i := range r.named {
		real, err := filepath.EvalSymlinks(r.named[i].prefix + "/")
		if err == nil && http1.IsBelow([]byte(name), strings.TrimRight(real, "/")) {
			return r.named[i].files, relative(name, strings.TrimRight(real, "/")), nil
		}
	}
	return nil, "", errOutside
}

// findMapped takes a path as in a URL.
func (r *sendRoots) findMapped(value string) (*static.Files, string, error) {
	value, _, _ = strings.Cut(value, "?")
	decoded, err := url.PathUnescape(value)
	if err != nil || !strings.HasPrefix(value, "/") || strings.ContainsRune(decoded, 0) {
		return nil, "", errors.New("it is not a path of a URL")
	}
	resolved, ok := http1.ResolvePath(nil, []byte(value))
	if !ok {
		return nil, "", errors.New("its dot segments cannot be resolved")
	}
	if root, rest := longest(r.mapped, strings.TrimRight(string(http1.MergeSlashes(nil, resolved)), "/")); root != nil {
		return root.files, rest, nil
	}
	return nil, "", errOutside
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

// sentFile is what a handler said when it had a file sent
// (exchange.Head.SendFile).
type sentFile struct {
	value  string
	accel  bool
	status int
	reason []byte
}

func (f *sentFile) field() string {
	if f.accel {
		return "X-Accel-Redirect"
	}
	return "X-Sendfile"
}

// openSent is open for a handler that has a file sent.
func (j *fileJob) openSent(s *Server) {
	sent := j.from.file
	// RFC 9110 §13.1 and §14.2: conditions and ranges are about what a GET of the
	// resource gives; an error page or the answer to a form is something else.
	failed := sent.status >= 400
	if method := j.req.Parsed.Method.In(j.req.Head); failed || !j.req.Parsed.Head && string(method) != "GET" {
		j.req.Parsed.Fields = nil
	}
	files, name, err := s.sends.find(sent)
	if err == nil {
		err = files.Send(name, header.Value(j.from.fields, contentType), &j.req, &j.res)
	}
	if err == nil {
		if failed {
			j.res.Head.Status, j.res.Head.Reason = sent.status, sent.reason
		}
		fill(&j.resp, &j.res.Head)
		if failed || j.resp.Status < 400 {
			j.resp.Fields = j.from.besides(j.resp.Fields, j.resp.Status)
			j.resp.HasDate, j.resp.HasServer = j.from.hasDate, j.from.hasServer
		}
		return
	}
	status := 404
	if outOfDescriptors(unwrapped(err)) {
		status = 503
	}
	j.logClient(s, loglevel.Warning, "%s: %s cannot be sent: %v", sent.field(), excerpt([]byte(sent.value)), unwrapped(err))
	j.fail(status)
	j.judge()
}

// unwrapped takes off what names the operation and the path.
func unwrapped(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// besides adds the handler's fields to those of a file that it has sent. What
// the server judges conditions and ranges by is the server's to say.
func (h *handedOver) besides(file []byte, status int) []byte {
	out := bytes.Clone(file)
	for line := range bytes.Lines(h.fields) {
		name := header.Name(line)
		switch {
		case bytes.EqualFold(name, contentType), bytes.EqualFold(name, []byte("ETag")), bytes.EqualFold(name, []byte("Last-Modified")),
			bytes.EqualFold(name, []byte("Content-Range")), bytes.EqualFold(name, []byte("Accept-Ranges")):
		case status == 304 && len(name) > 8 && bytes.EqualFold(name[:8], []byte("Content-")): // RFC 9110 §15.4.5
		case header.Has(file, name):
		default:
			out = append(out, line...)
		}
	}
	return out
}

var contentType = []byte("Content-Type")

// fail makes a short text the answer.
func (j *fileJob) fail(status int) {
	text := []byte(http1.StatusText(status) + "\n")
	fields := "Content-Type: text/plain; charset=utf-8\r\n"
	if status == 503 {
		fields += string(retryAfter)
	}
	j.res.Head.Status, j.res.Head.Length, j.res.Head.Fields = status, int64(len(text)), []byte(fields)
	j.res.Segments = append(j.res.Segments[:0], static.Segment{Data: text})
}
