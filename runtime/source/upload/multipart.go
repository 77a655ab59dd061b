package upload

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
)

const (
	maxFields    = 64 << 10 // bytes of all names and values of fields
	maxParts     = 100      // of a form
	maxFiles     = 16       // each one has two descriptors
	maxHeader    = 32 << 10 // bytes between the contents of two parts, and of the parser's buffer
	writeSize    = 64 << 10 // bytes of a file that are written at once
	digestOfForm = "sha256" // the field that has the digest of the only file
)

// form reads the parts of multipart/form-data (RFC 7578) from a body.
type form struct {
	body   *bodyReader
	parts  *multipart.Reader
	count  int
	text   int
	Fields map[string][]string
}

// boundaryOf returns the boundary of a form. ok is false if the type of the body is not that of a form.
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
	return &form{body: body, parts: multipart.NewReader(body, boundary), Fields: map[string][]string{}}
}

// formFile is a part that is a file.
type formFile struct {
	form              *form
	part              io.Reader
	Field, Name, Type string
}

// fill reads until buffer is full, or the file ends: then the error is io.EOF. Otherwise it is as of nextFile.
func (f *formFile) fill(buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = f.part.Read(buffer[n:])
		n += more
	}
	if err != nil && err != io.EOF {
		err = f.form.wrong(err)
	}
	return n, err
}

// nextFile returns the next file, behind fields, which it keeps. The error is io.EOF behind the last part, a *refusal, or that of
// the body.
func (f *form) nextFile() (*formFile, error) {
	for {
		f.body.limit(maxHeader)
		p, err := f.parts.NextRawPart()
		if f.body.limit(-1); err != nil {
			if err == io.EOF {
				return nil, f.end()
			}
			return nil, f.wrong(err)
		}
		if f.count++; f.count > maxParts {
			return nil, refuse(413, "the form has more than %d parts", maxParts)
		}
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if err != nil || kind != "form-data" {
			return nil, refuse(400, "a part of the form has no valid Content-Disposition")
		}
		name, isFile := params["filename"]
		if !isFile {
			if err := f.field(params["name"], p); err != nil {
				return nil, err
			}
			continue
		}
		file := &formFile{form: f, part: p, Field: params["name"], Name: name, Type: p.Header.Get("Content-Type")}
		if name == "" { // an input for files without one
			if n, err := io.CopyN(io.Discard, p, 1); n == 0 && err == io.EOF {
				continue
			} else if err != nil {
				return nil, f.wrong(err)
			}
			return nil, refuse(400, "a file of the form has no name")
		}
		return file, nil
	}
}

// field keeps a part that is not a file.
func (f *form) field(name string, part io.Reader) error {
	f.text += len(name)
	value, err := io.ReadAll(io.LimitReader(part, int64(max(0, maxFields-f.text))+1))
	if err != nil {
		return f.wrong(err)
	}
	if f.text += len(value); f.text > maxFields {
		return refuse(413, "the fields of the form have more than %d bytes", maxFields)
	}
	f.Fields[name] = append(f.Fields[name], string(value))
	return nil
}

// end reads the bytes behind the last part, so that the connection can be kept.
func (f *form) end() error {
	f.body.limit(maxHeader)
	if _, err := io.Copy(io.Discard, f.body); err != nil {
		return f.wrong(err)
	}
	return io.EOF
}

// digest returns the SHA-256 that a field announces for the only file; "": none does.
func (f *form) digest() string {
	if values := f.Fields[digestOfForm]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// wrong returns the error for the client, given one of the parser: a form is not valid, unless its body had an error.
func (f *form) wrong(err error) error {
	var r *refusal
	switch {
	case f.body.err != nil && f.body.err != io.EOF:
		return f.body.err
	case errors.As(err, &r):
		return r
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse(400, "the form ends before its last boundary")
	}
	return refuse(400, "the form is not valid: %v", err)
}

// bodyReader reads the pieces of a body.
type bodyReader struct {
	next    func() ([]byte, error)
	rest    []byte
	left    int // bytes that may be read, if limited
	limited bool
	err     error // of next
}

// limit bounds the bytes that are read from now on; below 0: it does not.
func (b *bodyReader) limit(n int) { b.left, b.limited = n, n >= 0 }

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.limited && len(p) > b.left {
		if b.left == 0 {
			return 0, refuse(413, "a part of the form has a header of more than %d bytes", maxHeader)
		}
		p = p[:b.left]
	}
	for len(b.rest) == 0 && b.err == nil {
		b.rest, b.err = b.next()
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.left -= n
	return n, nil
}
