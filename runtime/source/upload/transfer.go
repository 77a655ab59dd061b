package upload

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"fapws/runtime/backend"
)

type transfer struct {
	u        *Upload
	w        *backend.ResponseWriter
	r        *backend.Request
	progress *progress

	// files that are not committed yet; the last one may be incomplete
	drafts   []*draft
	total    int64
	limit    int64
	tooLarge error // error to return if the field total exceeds the field limit
	fields   url.Values
}

func (t *transfer) next() ([]byte, error) {
	piece, err := t.r.Next()
	t.progress.add(len(piece))
	return piece, err
}

func (t *transfer) body() error {
	r := t.r
	name, err := t.nameOfPath()
	if err != nil {
		return err
	}
	sum, err := announcedDigest(r)
	if err != nil {
		return err
	}
	d, err := t.begin(stored{Name: name, Type: r.Field("Content-Type"), Size: r.Size})
	if err != nil {
		return err
	}
	if name == "" && d.path != "" {
		d.file.Name = path.Base(d.path)
	}
	t.progress.named(d.file.Name)
	if _, err := io.Copy(t, &bodyReader{next: t.next}); err != nil {
		return err
	}
	if err := d.checkSum(sum); err != nil {
		return err
	}
	return d.seal()
}

func (t *transfer) nameOfPath() (string, error) {
	name := strings.TrimPrefix(t.r.Path[t.r.Script:], "/")
	switch {
	case t.u.named() && name == "":
		return "", refuse(400, "the path has no file name: PUT %s/NAME", strings.TrimSuffix(t.r.Path, "/"))
	case !t.u.named() && name != "":
		return "", refuse(404, "")
	}
	return name, nil
}

func (t *transfer) form(boundary string) error {
	// least is the minimum number of bytes in the body that belong to files.
	least := t.r.Size - maxFields - maxParts*maxHeader
	if err := t.fits(least); err != nil {
		return err
	}
	f := newForm(t.next, boundary)
	t.fields = f.Fields
	for {
		file, content, err := f.nextFile()
		if err == io.EOF {
			break
		}
		if err == nil {
			file.least = least - t.total
			err = t.formFile(f, file, content)
		}
		if err != nil {
			return err
		}
	}
	if len(t.drafts) == 0 {
		return refuse(400, "the form has no file")
	}
	if len(t.drafts) == 1 {
		return t.drafts[0].checkSum(f.Fields.Get(digestOfForm))
	}
	return nil
}

func (t *transfer) formFile(f *form, file stored, content io.Reader) error {
	if len(t.drafts) == maxFiles || len(t.drafts) > 0 && !t.u.named() {
		return refuse(413, "the form has too many files")
	}
	if slices.ContainsFunc(t.drafts, func(other *draft) bool { return other.file.Name == file.Name }) {
		return refuse(400, "the form has two files with one name")
	}
	d, err := t.begin(file)
	if err != nil {
		return err
	}
	t.progress.named(file.Name)
	if err := f.copy(t, content); err != nil {
		return err
	}
	return d.seal()
}

// fits returns an error if size additional bytes would exceed the limit; a negative size is unknown and counts as 0.
func (t *transfer) fits(size int64) error {
	if t.total+max(size, 0) > t.limit {
		return t.tooLarge
	}
	return nil
}

func (t *transfer) begin(file stored) (d *draft, err error) {
	if err = t.fits(file.Size); err == nil {
		d, err = t.u.target.begin(t.w, t.progress.report.ID, file)
	}
	if err == nil {
		d.file = file
		t.drafts = append(t.drafts, d)
		// A write to a FIFO may block, so stop it when the client disconnects.
		if d.release == nil {
			context.AfterFunc(t.r.Context, func() { _ = d.f.SetWriteDeadline(time.Unix(1, 0)) })
		}
	}
	return d, err
}

func (t *transfer) Write(piece []byte) (int, error) {
	if err := t.fits(int64(len(piece))); err != nil {
		return 0, err
	}
	t.total += int64(len(piece))
	return len(piece), t.drafts[len(t.drafts)-1].write(piece)
}

func (t *transfer) commit() (files []stored, err error) {
	for len(t.drafts) > 0 {
		d := t.drafts[0]
		t.drafts = t.drafts[1:]
		if err := d.commit(); err != nil {
			return nil, err
		}
		files = append(files, d.stored())
	}
	return files, nil
}

func (t *transfer) abort() {
	for _, d := range t.drafts {
		d.abort()
	}
}

// announcedDigest returns the SHA-256 hash from the request field Content-Digest or Repr-Digest (RFC 9530) in
// hexadecimal digits, or "". Both fields describe the same bytes, because an upload has no content coding. The error is
// a *refusal.
func announcedDigest(r *backend.Request) (sum string, err error) {
	for _, name := range [...]string{"Content-Digest", "Repr-Digest"} {
		value := r.Field(name)
		if value == "" {
			continue
		}
		found, err := readDigest(value)
		if err != nil {
			return "", refuse(400, "%s: %s", name, err.Error())
		}
		if sum != "" && sum != found {
			return "", refuse(400, "Content-Digest and Repr-Digest differ")
		}
		sum = found
	}
	return sum, nil
}

// readDigest returns the member sha-256 of a dictionary such as "sha-256=:base64:, sha-512=:base64:" (RFC 9651).
func readDigest(value string) (sum string, err error) {
	for member := range strings.SplitSeq(value, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		if key != "sha-256" {
			continue
		}
		value, _, _ = strings.Cut(value, ";")
		if len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
			return "", refuse(400, "the value of sha-256 must be base64 between colons")
		}
		raw, err := base64.StdEncoding.DecodeString(value[1 : len(value)-1])
		if err != nil || len(raw) != 32 {
			return "", refuse(400, "the value of sha-256 must be the base64 of 32 bytes")
		}
		return hex.EncodeToString(raw), nil
	}
	return "", refuse(400, "sha-256 is the only digest that is supported")
}

// checkSum compares the SHA-256 of the file with announced: hexadecimal digits in any case, or "" if no digest was
// announced.
func (d *draft) checkSum(announced string) error {
	if announced != "" && !strings.EqualFold(strings.TrimSpace(announced), d.sum()) {
		return refuse(400, "the upload has another SHA-256 than announced: %s", d.sum())
	}
	return nil
}

const (
	maxFields = 64 << 10 // maximum size of the names and values of all fields, in bytes
	maxParts  = 100
	maxFiles  = 16 // maximum number of files in a form, each of which uses two descriptors
	// maximum number of bytes between the contents of two parts, including the parser's buffer
	maxHeader    = 32 << 10
	writeSize    = 64 << 10 // in bytes
	digestOfForm = "sha256"
)

// form reads the parts of multipart/form-data (RFC 7578) from a body.
type form struct {
	body *bodyReader
	// limits how many bytes are read from the body between the contents of two parts
	ahead  *io.LimitedReader
	parts  *multipart.Reader
	count  int
	text   int
	Fields url.Values
}

func boundaryOf(contentType string) (boundary string, ok bool, err error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if kind != "multipart/form-data" {
		return "", false, nil
	}
	if err != nil || params["boundary"] == "" || len(params["boundary"]) > 70 { // RFC 2046 §5.1.1
		return "", true, refuse(400, "multipart/form-data without a valid boundary")
	}
	return params["boundary"], true, nil
}

func newForm(next func() ([]byte, error), boundary string) *form {
	body := &bodyReader{next: next}
	ahead := &io.LimitedReader{R: body}
	return &form{body: body, ahead: ahead, parts: multipart.NewReader(ahead, boundary), Fields: url.Values{}}
}

// Errors of the writer are returned unchanged, and all other errors are converted by the method wrong.
func (f *form) copy(to io.Writer, content io.Reader) error {
	out := bufio.NewWriterSize(to, writeSize)
	_, err := io.Copy(out, content)
	if failed := out.Flush(); failed != nil {
		return failed
	}
	if err != nil {
		err = f.wrong(err)
	}
	return err
}

// nextFile returns the next file of the form, with its name, its type and the name of its form field. The values of
// other form fields before this file are stored in f.Fields. The error is io.EOF after the last part, a *refusal, or
// the error of the body.
func (f *form) nextFile() (file stored, content io.Reader, err error) {
	for {
		f.ahead.N = maxHeader
		p, err := f.parts.NextRawPart()
		if err == io.EOF && f.ahead.N > 0 {
			return file, nil, f.end()
		}
		if err != nil {
			return file, nil, f.wrong(err)
		}
		f.ahead.N = math.MaxInt64
		if f.count++; f.count > maxParts {
			return file, nil, refuse(413, "the form has more than %d parts", maxParts)
		}
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if err != nil || kind != "form-data" {
			return file, nil, refuse(400, "a part of the form has no valid Content-Disposition")
		}
		name, isFile := params["filename"]
		if name != "" {
			return stored{Field: params["name"], Name: name, Type: p.Header.Get("Content-Type"), Size: -1}, p, nil
		}
		f.text += len(params["name"])
		value, err := io.ReadAll(io.LimitReader(p, int64(max(0, maxFields-f.text))+1))
		switch f.text += len(value); {
		case err != nil:
			return file, nil, f.wrong(err)
		case isFile && len(value) > 0:
			return file, nil, refuse(400, "a file of the form has no name")
		case f.text > maxFields:
			return file, nil, refuse(413, "the fields of the form have more than %d bytes", maxFields)
		case !isFile: // an input for a file, but without a chosen file, is ignored
			f.Fields.Add(params["name"], string(value))
		}
	}
}

// end reads the bytes after the last part, so that the connection can be reused.
func (f *form) end() error {
	f.ahead.N = maxHeader
	if _, err := io.Copy(io.Discard, f.ahead); err != nil || f.ahead.N == 0 {
		return f.wrong(err)
	}
	return io.EOF
}

// wrong converts an error of the parser to an error for the client: the error of the body if there is one, otherwise a
// refusal of the form.
func (f *form) wrong(err error) error {
	switch {
	case f.body.err != nil && f.body.err != io.EOF:
		return f.body.err
	case f.ahead.N == 0:
		return refuse(413, "a part of the form has a header of more than %d bytes", maxHeader)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse(400, "the form ends before its last boundary")
	}
	return refuse(400, "the form is not valid: %v", err)
}

type bodyReader struct {
	next func() ([]byte, error)
	rest []byte
	err  error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 && b.err == nil {
		b.rest, b.err = b.next()
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
