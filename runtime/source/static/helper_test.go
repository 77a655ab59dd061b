package static

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

const secret = "TOP-SECRET-CONTENT"

// old is the modification time of files in a test tree.
var old = time.Now().UTC().Truncate(24*time.Hour).AddDate(-1, 0, 0).Add(12*time.Hour + 123456789)

func write(t testing.TB, path, content string) {
	t.Helper()
	checktest.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	checktest.Must(t, os.WriteFile(path, []byte(content), 0o644))
	touch(t, path, old)
}

func touch(t testing.TB, path string, at time.Time) {
	t.Helper()
	checktest.Must(t, os.Chtimes(path, at, at))
}

func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret.txt"), secret)
	root := filepath.Join(dir, "root")
	checktest.Must(t, os.Mkdir(root, 0o755))
	for name, content := range files {
		write(t, filepath.Join(root, name), content)
	}
	return root
}

// serve returns a Files handler with a clock that is an hour ahead, so that new files do not seem new to the handler.
func serve(t testing.TB, o Options) *Files {
	t.Helper()
	f := checktest.Try(New(o)).Must(t)
	t.Cleanup(func() { f.Close() })
	start := time.Now().Add(time.Hour).UnixNano()
	f.clock = func() int64 { return start }
	f.wall = f.clock
	return f
}

func later(f *Files, d time.Duration) {
	now := f.clock() + int64(d)
	f.clock = func() int64 { return now }
}

func request(t testing.TB, mount, method, target string, fields ...string) *FileRequest {
	t.Helper()
	head := []byte(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(fields, "\r\n"), "\r\n"))
	if len(fields) == 0 {
		head = []byte(method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	parsed := new(http1.Request)
	n, err := parsed.Parse(head, &http1.DefaultLimits)
	checktest.Mustf(t, err, "%q", head)
	path := http1.DecodePath(nil, parsed.Path.In(head))
	return &FileRequest{Path: bytes.TrimPrefix(path, []byte(mount)), Head: head[:n], Parsed: parsed}
}

type answered struct {
	status int
	fields textproto.MIMEHeader
	length int64
	body   string
	file   bool
}

func (a answered) get(name string) string { return a.fields.Get(name) }

func read(t testing.TB, req *FileRequest, out *FileResponse) answered {
	t.Helper()
	defer out.Close()
	a := answered{status: out.Head.Status, length: out.Head.Length, file: out.file != nil, fields: textproto.MIMEHeader{}}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out.Head.Fields), "\r\n"), "\r\n") {
		name, value, ok := strings.Cut(line, ": ")
		checktest.Needf(t, ok && !strings.ContainsAny(value, "\r\n\x00"), "field line %q", line)
		a.fields.Add(name, value)
	}
	var body bytes.Buffer
	for _, s := range out.Segments {
		if s.Data != nil {
			checktest.Needf(t, s.Count == 0 && len(s.Data) > 0, "segment %+v", s)
			body.Write(s.Data)
			continue
		}
		checktest.Needf(t, s.Count > 0, "segment %+v", s)
		checktest.Try(io.Copy(&body, io.NewSectionReader(out.file.file, s.Offset, s.Count))).Must(t)
	}
	a.body = body.String()
	switch {
	case req.Parsed.Head || a.status == 304:
		checktest.Needf(t, a.body == "" && !a.file, "a body where there is none: %q", a.body)
	case int64(body.Len()) != a.length:
		t.Fatalf("%d bytes, promised were %d", body.Len(), a.length)
	}
	return a
}

func open(t testing.TB, f *Files, req *FileRequest) answered {
	t.Helper()
	var out FileResponse
	f.Open(req, &out)
	return read(t, req, &out)
}

func hit(t testing.TB, f *Files, req *FileRequest) (a answered, ok bool) {
	t.Helper()
	var out FileResponse
	if !f.Hit(f.clock(), req, &out) {
		checktest.Needf(t, out.Head.Status == 0 && out.Segments == nil && out.file == nil, "out was changed: %+v", &out)
		return a, false
	}
	return read(t, req, &out), true
}

func get(t testing.TB, f *Files, req *FileRequest) answered {
	t.Helper()
	a := open(t, f, req)
	b, ok := hit(t, f, req)
	if !ok {
		return a
	}
	a.file, b.file = false, false
	x, y := withoutBoundary(a), withoutBoundary(b)
	checktest.Needf(t, x == y, "Open: %s\nHit: %s", x, y)
	return a
}

func withoutBoundary(a answered) string {
	s := fmt.Sprint(a)
	if _, boundary, ok := strings.Cut(a.get("Content-Type"), "boundary="); ok {
		s = strings.ReplaceAll(s, boundary, "")
	}
	return s
}

func checkParts(t testing.TB, a answered, whole string) {
	t.Helper()
	check := func(span, body string) {
		var first, last, size int
		_, err := fmt.Sscanf(span, "bytes %d-%d/%d", &first, &last, &size)
		checktest.Needf(t, err == nil && size == len(whole) && first <= last && last < size && body == whole[first:last+1],
			"%q: %q", span, body)
	}
	kind, params, err := mime.ParseMediaType(a.get("Content-Type"))
	checktest.Must(t, err)
	if kind != "multipart/byteranges" {
		check(a.get("Content-Range"), a.body)
		return
	}
	parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF && n > 1 {
			return
		}
		checktest.Mustf(t, err, "part %d", n)
		check(part.Header.Get("Content-Range"), string(checktest.Try(io.ReadAll(part)).Must(t)))
	}
}
