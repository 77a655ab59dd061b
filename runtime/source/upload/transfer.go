package upload

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"path"
	"strings"

	"fapws/runtime/backend"
)

// transfer is one request that brings files.
type transfer struct {
	u        *Upload
	w        *backend.Response
	r        *backend.Request
	progress *progress

	drafts []*draft // complete, but not committed
	open   *draft   // that is being received; nil: none
	total  int64    // bytes of all files
	stored []stored
	fields map[string][]string
	buffer []byte // for files of forms
}

// next returns the next piece of the body, as backend.Request.Next does.
func (t *transfer) next() ([]byte, error) {
	piece, err := t.r.Next()
	t.progress.add(len(piece))
	return piece, err
}

// body stores the body as a file.
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
	file := stored{Name: name, Type: r.Field("Content-Type"), Size: r.Size}
	if err := t.begin(file); err != nil {
		return err
	}
	if name == "" && t.open.path != "" {
		name = path.Base(t.open.path)
	}
	file.Name = name
	t.progress.named(name)
	for {
		piece, err := t.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = t.write(piece)
		}
		if err != nil {
			return err
		}
	}
	if err := t.open.checkSum(sum); err != nil {
		return err
	}
	return t.complete(file)
}

// nameOfPath returns the name of the file that the path of the request has behind that of the mount; "": the target has only one.
func (t *transfer) nameOfPath() (string, error) {
	name := strings.TrimPrefix(t.r.Path[t.r.Script:], "/")
	switch {
	case t.u.target.named() && name == "":
		return "", refuse(400, "the path has no file name: PUT %s/NAME", strings.TrimSuffix(t.r.Path, "/"))
	case !t.u.target.named() && name != "":
		return "", refuse(404, "")
	}
	return name, nil
}

// form stores the files of a form.
func (t *transfer) form(boundary string) error {
	least := t.r.Size - maxFields - maxParts*maxHeader // so much of it may be other than files
	if err := t.fits(least); err != nil {
		return err
	}
	f := newForm(t.next, boundary)
	t.fields = f.Fields
	for {
		file, err := f.nextFile()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = t.formFile(file, least-t.total)
		}
		if err != nil {
			return err
		}
	}
	if len(t.drafts) == 0 {
		return refuse(400, "the form has no file")
	}
	if sum := f.digest(); sum != "" && len(t.drafts) == 1 {
		return t.drafts[0].checkSum(sum)
	}
	return nil
}

// formFile stores a file of a form. least is how many bytes of files will come at least, from its first on.
func (t *transfer) formFile(file *formFile, least int64) error {
	if len(t.drafts) == maxFiles || len(t.drafts) > 0 && !t.u.target.named() {
		return refuse(413, "the form has too many files")
	}
	for _, other := range t.stored {
		if other.Name == file.Name {
			return refuse(400, "the form has two files with one name")
		}
	}
	about := stored{Name: file.Name, Type: file.Type, Field: file.Field, Size: -1, least: least}
	if err := t.begin(about); err != nil {
		return err
	}
	t.progress.named(file.Name)
	if t.buffer == nil {
		t.buffer = make([]byte, writeSize)
	}
	for {
		n, err := file.fill(t.buffer)
		if n > 0 {
			if err := t.write(t.buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	return t.complete(about)
}

// fits returns an error if size more bytes (below 0: unknown) are too many.
func (t *transfer) fits(size int64) error {
	if most := t.u.options.MaxSize; most > 0 && t.total+max(size, 0) > most {
		return tooLarge(most)
	}
	return nil
}

func tooLarge(most int64) error {
	return refuse(413, "the upload is too large: the limit is %d bytes", most)
}

// begin opens a file: see target.
func (t *transfer) begin(file stored) (err error) {
	if err = t.fits(file.Size); err == nil {
		t.open, err = t.u.target.begin(t.w, t.progress.report.ID, file)
	}
	return err
}

func (t *transfer) write(piece []byte) error {
	if err := t.fits(int64(len(piece))); err != nil {
		return err
	}
	t.total += int64(len(piece))
	return t.open.write(piece)
}

// complete ends the file that is open.
func (t *transfer) complete(s stored) error {
	d := t.open
	if err := d.seal(); err != nil {
		return err
	}
	s.Path, s.Size, s.SHA256 = d.path, d.size, d.sum()
	t.drafts, t.stored, t.open = append(t.drafts, d), append(t.stored, s), nil
	return nil
}

// commit gives all files their names.
func (t *transfer) commit() error {
	for len(t.drafts) > 0 {
		d := t.drafts[0]
		t.drafts = t.drafts[1:]
		if err := d.commit(); err != nil {
			return err
		}
	}
	return nil
}

// abort removes the files that were not committed.
func (t *transfer) abort() {
	for _, d := range t.drafts {
		d.abort()
	}
	if t.open != nil {
		t.open.abort()
	}
}

// announcedDigest returns the SHA-256 that the fields Content-Digest and Repr-Digest of a request announce (RFC 9530), in hexadecimal
// digits; "": none. The body of an upload has no content coding, so both mean the same bytes. The error is a *refusal.
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

// readDigest returns the member sha-256 of a dictionary of byte sequences (RFC 9651): "sha-256=:base64:, sha-512=:base64:".
func readDigest(value string) (sum string, err error) {
	for member := range strings.SplitSeq(value, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		if key != "sha-256" {
			continue
		}
		value, _, _ = strings.Cut(value, ";") // parameters
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

// checkSum returns an error if the draft has not the SHA-256 that was announced: hexadecimal digits of any case; "": none was.
func (d *draft) checkSum(announced string) error {
	if announced != "" && !strings.EqualFold(strings.TrimSpace(announced), d.sum()) {
		return refuse(400, "the upload has another SHA-256 than announced: %s", d.sum())
	}
	return nil
}
