package upload

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// This file implements the protocol of tus.io, version 1.0.0, with its extensions creation, creation-with-upload,
// termination, checksum and expiration. Section names in comments refer to its specification.

const (
	tusVersion    = "1.0.0"
	tusFields     = "Tus-Resumable: " + tusVersion + "\r\n"
	tusExtensions = "creation,creation-with-upload,termination,checksum,expiration"
	tusType       = "application/offset+octet-stream"
	maxMetadata   = 8 << 10 // in bytes
)

type tus struct {
	u *Upload
	w *backend.ResponseWriter
	r *backend.Request
}

func (x *tus) respond() error {
	method := x.r.Method()
	if method == "OPTIONS" {
		return x.options()
	}
	if v := x.r.Field("Tus-Resumable"); v != tusVersion {
		return refuse(412, "version %s of tus is not supported", v)
	}
	if method == "POST" {
		method = cmp.Or(x.r.Field("X-HTTP-Method-Override"), method)
	}
	id := strings.Trim(x.r.Path[x.r.Script:], "/")
	if method != "HEAD" {
		if err := x.u.permit(x.r); err != nil {
			return err
		}
	}
	if err := onlyOffered(x.r); err != nil {
		return err
	}
	switch {
	case method == "POST" && id == "":
		return x.create()
	case id == "":
		return refuse(405, "this is for uploads: POST")
	case method == "HEAD":
		return x.head(id)
	case method == "PATCH":
		return x.patch(id)
	case method == "DELETE":
		return x.terminate(id)
	}
	return refuse(405, "an upload takes HEAD, PATCH and DELETE")
}

var uploadFields = []string{"upload-length", "upload-offset", "upload-metadata", "upload-checksum"}

// extensionFields maps request fields of unsupported extensions to the names of the extensions.
var extensionFields = map[string]string{
	"upload-concat":       "concatenation",
	"upload-defer-length": "creation-defer-length",
}

// onlyOffered rejects requests with unsupported extensions or unknown Upload- fields. If such a field were ignored, a
// part of a file could be stored as the whole file.
func onlyOffered(r *backend.Request) error {
	for _, f := range r.Parsed.Fields {
		name := strings.ToLower(string(f.Name.In(r.Head)))
		switch extension := extensionFields[name]; {
		case extension != "":
			return refuse(400, "the extension %s of tus (%s) is not offered", extension, f.Name.In(r.Head))
		case strings.HasPrefix(name, "upload-") && !slices.Contains(uploadFields, name):
			return refuse(400, "the field %s is unknown", f.Name.In(r.Head))
		case name == "trailer" && strings.Contains(strings.ToLower(string(f.Value.In(r.Head))), "upload-"):
			return refuse(400, "the extension checksum-trailer of tus (Trailer: %s) is not offered", f.Value.In(r.Head))
		}
	}
	return nil
}

// onlyWhole rejects a request that does not use the tus protocol and whose body is only a part of a file. Clients that
// use the IETF protocol (draft-ietf-httpbis-resumable-upload) are not affected, because they send whole files to
// servers without this protocol.
func onlyWhole(r *backend.Request) error {
	whole := map[string]string{"upload-complete": "?1", "upload-incomplete": "?0", "upload-offset": "0"}
	if r.Size >= 0 {
		whole["upload-length"] = strconv.FormatInt(r.Size, 10)
	}
	for _, f := range r.Parsed.Fields {
		name, value := strings.ToLower(string(f.Name.In(r.Head))), string(f.Value.In(r.Head))
		if want, known := whole[name]; extensionFields[name] != "" || known && value != want {
			return refuse(400, "%s: %s: an upload must be sent whole, or with tus", f.Name.In(r.Head), value)
		}
	}
	return nil
}

// empty responds without a body, and returns nil.
func (x *tus) empty(status int, fields string) error {
	x.w.Start(exchange.Head{Status: status, Fields: []byte(tusFields + fields), Length: 0})
	return nil
}

func (x *tus) options() error {
	fields := "Tus-Version: " + tusVersion + "\r\nTus-Extension: " + tusExtensions +
		"\r\nTus-Checksum-Algorithm: sha1,sha256\r\n"
	if most := x.u.options.MaxSize; most < math.MaxInt64 {
		fields += fmt.Sprintf("Tus-Max-Size: %d\r\n", most)
	}
	return x.empty(204, fields)
}

func (x *tus) state(p *partial) string {
	return fmt.Sprintf("Upload-Offset: %d\r\nUpload-Expires: %s\r\n", p.size,
		x.u.resumes.expiry(p.touched, p.size).UTC().Format(http.TimeFormat))
}

func (x *tus) create() error {
	length, err := number(x.r, "Upload-Length")
	if err != nil {
		return err
	}
	if length > x.u.options.MaxSize {
		return x.u.tooLarge(length)
	}
	what := description{Length: length, Metadata: x.r.Field("Upload-Metadata"), Owner: x.r.Account()}
	if what.Fields, err = readMetadata(what.Metadata); err != nil {
		return err
	}
	what.Name, what.Type = take(what.Fields, "filename"), take(what.Fields, "filetype")
	if wrong := checkName(what.Name); wrong != "" && x.u.named() {
		return refuse(400, "%s (filename of Upload-Metadata)", wrong)
	}
	p, err := x.u.resumes.create(rand.Text(), what)
	if err != nil {
		return err
	}
	x.u.resumes.expireLater()
	at := strings.TrimSuffix(x.r.Path[:x.r.Script], "/") + "/" + p.id
	location := "Location: " + (&url.URL{Path: at}).EscapedPath() + "\r\n"
	if length > 0 && x.r.Field("Content-Type") != tusType {
		defer p.close()
		return x.empty(201, location+x.state(p))
	}
	return x.receive(p, 201, location)
}

// If an earlier request has locked the upload but receives no bytes, resume takes the upload over.
func (x *tus) resume(id string) (*partial, error) {
	p, err := x.u.resumes.resume(id)
	if err == errBusy && (x.u.takeOver(id) || slices.Contains(x.u.ask(opTakeOver+" "+id), "true")) {
		return x.u.resumes.resume(id)
	}
	return p, err
}

func (x *tus) head(id string) error {
	p, err := x.resume(id)
	if err == errUnknown {
		length, ok := x.u.length(id)
		if !ok {
			return err
		}
		return x.empty(200, fmt.Sprintf("Cache-Control: no-store\r\nUpload-Offset: %[1]d\r\nUpload-Length: %[1]d\r\n",
			length))
	}
	if err != nil {
		return err
	}
	defer p.close()
	fields := "Cache-Control: no-store\r\n" + x.state(p) + fmt.Sprintf("Upload-Length: %d\r\n", p.Length)
	if p.Metadata != "" {
		fields += "Upload-Metadata: " + p.Metadata + "\r\n"
	}
	return x.empty(200, fields)
}

func (x *tus) terminate(id string) error {
	p, err := x.resume(id)
	if err != nil {
		return err
	}
	p.remove()
	return x.empty(204, "")
}

func (x *tus) patch(id string) error {
	if x.r.Field("Content-Type") != tusType {
		return refuse(415, "the Content-Type must be %s", tusType)
	}
	offset, err := number(x.r, "Upload-Offset")
	if err != nil {
		return err
	}
	p, err := x.resume(id)
	if err != nil {
		return err
	}
	if offset != p.size {
		defer p.close()
		return refuse(409, "the upload goes on at byte %d, not %d", p.size, offset)
	}
	if x.r.Field("Upload-Length") != "" {
		if length, err := number(x.r, "Upload-Length"); err != nil || length != p.Length {
			defer p.close()
			return refuse(400, "the upload has %d bytes, which Upload-Length of a PATCH cannot change", p.Length)
		}
	}
	return x.receive(p, 204, "")
}

// receive stores the body of a request; if the client disconnects, the upload is kept and may be resumed.
func (x *tus) receive(p *partial, status int, fields string) error {
	check, sum, err := checksum(x.r)
	progress := &progress{report: report{ID: p.shown(), Name: p.name, Received: p.size, Size: p.Length},
		client: x.r.Account(), token: p.id, interrupt: x.r.Interrupt}
	switch {
	case err != nil:
	case x.r.Size > p.Length-p.size:
		err = errTooMuch
	default:
		err = x.u.begin(progress)
	}
	if err != nil {
		if status == 201 {
			p.remove() // the client does not learn the id of the upload
		} else {
			p.close()
		}
		return err
	}
	progress.tell()
	if err = x.store(p, progress, check, sum); err == nil && p.size == p.Length {
		return x.finish(p, progress, status, fields)
	}
	p.touched = time.Now()
	state := x.state(p)
	if sealed, closed := p.seal(), p.close(); err == nil {
		err = cmp.Or(sealed, closed)
	}
	if progress.end(statePaused, ""); err != nil {
		return err
	}
	return x.empty(status, fields+state)
}

func (x *tus) finish(p *partial, progress *progress, status int, fields string) error {
	if err := p.complete(); err != nil {
		progress.end(stateFailed, refusalOf(err).text)
		return err
	}
	x.u.keepFinished(finished{p.id, p.Length, time.Now()})
	progress.end(stateStored, "")
	fields += fmt.Sprintf("Upload-Offset: %d\r\n", p.Length)
	if !x.u.options.HandsOn {
		return x.empty(status, fields)
	}
	p.file = stored{Name: cmp.Or(p.Name, p.name), Type: p.Type}
	x.u.handOn(x.w, result{ID: p.shown(), Files: []stored{p.stored()}, Fields: p.Fields, Status: status},
		tusFields+fields)
	return nil
}

// finished is an upload that was stored completely. Such an upload is remembered, because a client that has not
// received the last response sends a HEAD request for the upload, and would send the file again after a 404.
type finished struct {
	ID     string    `json:"id"`
	Length int64     `json:"length"`
	At     time.Time `json:"at"`
}

const (
	finishedKept = 10 * time.Minute
	mostFinished = 100
)

// keepFinished remembers uploads that any process has stored completely.
func (u *Upload) keepFinished(uploads ...finished) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range uploads {
		if time.Since(f.At) < finishedKept && !slices.ContainsFunc(u.finished, func(known finished) bool {
			return known.ID == f.ID
		}) {
			u.finished = append(u.finished, f)
		}
	}
	u.finished = slices.Delete(u.finished, 0, max(0, len(u.finished)-mostFinished))
}

func (u *Upload) allFinished() []finished {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.finished)
}

// inherit requests the lists of finished uploads from the old processes before these processes end.
func (u *Upload) inherit() {
	for _, text := range u.ask(opFinished) {
		var all []finished
		if json.Unmarshal([]byte(text), &all) == nil {
			u.keepFinished(all...)
		}
	}
}

func (u *Upload) length(id string) (length int64, ok bool) {
	is := func(f finished) bool { return f.ID == id && time.Since(f.At) < finishedKept }
	all := u.allFinished()
	i := slices.IndexFunc(all, is)
	if i < 0 {
		u.inherit()
		all = u.allFinished()
		i = slices.IndexFunc(all, is)
	}
	if i < 0 {
		return 0, false
	}
	return all[i].Length, true
}

func (p *partial) complete() error {
	err := p.seal()
	if err == nil {
		err = p.hashAll()
	}
	if err == nil {
		err = p.checkSum(take(p.Fields, digestOfForm))
	}
	if err != nil {
		p.remove()
		return err
	}
	_ = p.dir.Remove(hiddenPrefix + p.id + descriptionSuffix)
	return p.commit()
}

var errTooMuch = &refusal{status: 413, text: "the body has more than the rest of the upload"}

func checksum(r *backend.Request) (check hash.Hash, sum []byte, err error) {
	announced := r.Field("Upload-Checksum")
	if announced == "" {
		return nil, nil, nil
	}
	name, value, _ := strings.Cut(announced, " ")
	sum, err = base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	switch name {
	case "sha1":
		check = sha1.New()
	case "sha256":
		check = sha256.New()
	}
	if check == nil || err != nil || len(sum) != check.Size() {
		return nil, nil, refuse(400, "Upload-Checksum must be sha1 or sha256, and the base64 of the checksum")
	}
	return check, sum, nil
}

// After an error, store keeps the bytes that were written, unless the client has announced a checksum.
func (x *tus) store(p *partial, progress *progress, check hash.Hash, sum []byte) error {
	begun := p.size
	t := &transfer{r: x.r, progress: progress, drafts: []*draft{p.draft}, total: p.size, limit: p.Length,
		tooLarge: errTooMuch}
	var body io.Reader = &bodyReader{next: t.next}
	if check != nil {
		body = io.TeeReader(body, check)
	}
	_, err := io.Copy(t, body)
	switch {
	case err == backend.ErrInterrupted:
		err = refuse(409, "another request continues the upload")
	case err == nil && check != nil && !bytes.Equal(check.Sum(nil), sum):
		err = refuse(460, "the body has another checksum than announced")
	}
	if err != nil && check != nil && p.f.Truncate(begun) == nil {
		_, _ = p.f.Seek(begun, io.SeekStart)
		p.size, p.hashed = begun, -1
	}
	return err
}

func number(r *backend.Request, field string) (int64, error) {
	n, err := strconv.ParseInt(r.Field(field), 10, 64)
	if err != nil || n < 0 {
		return 0, refuse(400, "%s must be a number of bytes", field)
	}
	return n, nil
}

func readMetadata(text string) (map[string][]string, error) {
	all := url.Values{}
	if len(text) > maxMetadata {
		return nil, refuse(413, "Upload-Metadata has more than %d bytes", maxMetadata)
	}
	if text == "" {
		return all, nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil || key == "" || all.Has(key) {
			return nil, refuse(400, "Upload-Metadata is not valid")
		}
		all.Set(key, string(raw))
	}
	return all, nil
}

func take(fields url.Values, name string) string {
	value := fields.Get(name)
	fields.Del(name)
	return value
}
