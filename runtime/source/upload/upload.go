package upload

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// An Upload handles the requests for a mount. The mount must stream request bodies (backend.Request.Next).
type Upload struct {
	options Options
	target  target
	resumes *directory // same as target if uploads can be resumed; otherwise nil
	key     string     // identifies the mount in requests to other processes

	asking   sync.Mutex // held during a request to other processes
	asked    time.Time
	answered []report

	mu     sync.Mutex
	active []*progress
	ended  []report

	finished []finished // the most recently stored tus uploads; guarded by mu
}

func New(o Options) (*Upload, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	u := &Upload{options: o}
	var err error
	if u.target, err = newTarget(&u.options); err != nil {
		return nil, err
	}
	u.options.Group.add(u)
	if t, ok := u.target.(*directory); ok && o.Resumable {
		u.resumes = t
		t.expireLater()
		u.inherit()
	}
	return u, nil
}

const closeWithin = 5 * time.Second

// Close waits until all uploads have ended and removed their temporary files. Close must be called after the server has
// disconnected the clients.
func (u *Upload) Close() error {
	u.mu.Lock()
	active := slices.Clone(u.active)
	u.mu.Unlock()
	late := time.After(closeWithin)
	for _, p := range active {
		select {
		case <-p.ended:
		case <-late:
			return nil
		}
	}
	return nil
}

// stored describes a file to the client and to the handler, where contrib/fapws/_upload.py parses the JSON.
type stored struct {
	Name   string `json:"name"`
	Path   string `json:"path,omitempty"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Type   string `json:"type,omitempty"`
	Field  string `json:"field,omitempty"`

	// minimum number of bytes of this file and the following files, if Size is unknown
	least int64
}

func (s *stored) announced() int64 { return max(s.Size, s.least) }

type result struct {
	ID     string     `json:"id"`
	Files  []stored   `json:"files"`
	Fields url.Values `json:"fields,omitempty"`
	Key    string     `json:"key,omitempty"` // Options.Key, for the handler only
	// status of a successful response without a body (tus); for the handler only
	Status int `json:"status,omitempty"`
}

func (u *Upload) Respond(w *backend.ResponseWriter, r *backend.Request) {
	u.share(w, r)
	if u.answersPreflight(w, r) {
		return
	}
	if err := u.respond(w, r); err != nil {
		u.fail(w, r, err)
	}
}

func (u *Upload) respond(w *backend.ResponseWriter, r *backend.Request) error {
	if u.resumes != nil && (r.Field("Tus-Resumable") != "" || r.Method() == "OPTIONS") {
		return (&tus{u, w, r}).respond()
	}
	switch r.Method() {
	case "GET", "HEAD":
		// Request the reports of other processes first, so that the reports of this process are newer.
		others := u.others()
		respondJSON(w, 200, "Cache-Control: no-store\r\n", map[string]any{"uploads": merge(u.list(), others)})
		return nil
	case "PUT", "POST":
		if r.Field("Tus-Resumable") != "" { // the empty body of a tus request is not a file
			return refuse(412, "uploads cannot be resumed here")
		}
		if err := u.permit(r); err != nil {
			return err
		}
		return u.receive(w, r)
	}
	return refuse(405, "this is for uploads: PUT or POST")
}

func respondJSON(w *backend.ResponseWriter, status int, fields string, answer any) {
	data, _ := json.Marshal(answer)
	data = append(data, '\n')
	w.Start(exchange.Head{Status: status, Fields: []byte(fields), Length: int64(len(data)), Type: "application/json"})
	_, _ = w.Write(data) // an error means that the client has disconnected
}

func (u *Upload) fail(w *backend.ResponseWriter, r *backend.Request, err error) {
	if err == backend.ErrGone {
		return // the client disconnected
	}
	f := refusalOf(err)
	if f.cause != nil {
		u.options.Log(r.Client(), fmt.Sprintf("upload to %s: %v", r.Path, f))
	}
	if r.Field("Tus-Resumable") != "" && u.resumes != nil {
		w.Add(tusFields)
	}
	switch f.status {
	case 405:
		w.Add("Allow: " + u.methods() + "\r\n")
	case 412:
		if u.resumes != nil {
			w.Add("Tus-Version: " + tusVersion + "\r\n")
		}
	case 503:
		w.Add("Retry-After: 5\r\n")
	}
	if f.limit.Setting == "" {
		w.Refuse(f.status, f.text)
		return
	}
	w.Start(exchange.Head{Status: f.status, Length: -1, Then: exchange.Refusal{Limit: f.limit}, Reason: []byte(f.text)})
}

// named reports whether clients choose the file names, which is false for a single file, a device or a descriptor.
func (u *Upload) named() bool {
	t, ok := u.target.(*directory)
	return ok && t.only == ""
}

func (u *Upload) methods() string {
	if u.resumes != nil {
		return "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"
	}
	return "GET, HEAD, PUT, POST"
}

func (u *Upload) receive(w *backend.ResponseWriter, r *backend.Request) error {
	switch coding := r.Field("Content-Encoding"); {
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return refuse(415, "an upload must not have a Content-Encoding")
	case r.Method() == "POST" && strings.HasPrefix(strings.ToLower(r.Field("Content-Type")),
		"application/x-www-form-urlencoded"):
		return refuse(415, "this form has names of files only: its enctype must be multipart/form-data; a body that "+
			"is the file itself needs PUT, or another Content-Type")
	case r.Field("Content-Range") != "":
		return refuse(400, "an upload must not have a Content-Range") // RFC 9110 §14.5
	}
	if err := onlyWhole(r); err != nil {
		return err
	}
	boundary, isForm, err := boundaryOf(r.Field("Content-Type"))
	if err != nil {
		return err
	}
	p := &progress{report: report{ID: cmp.Or(idOf(r), rand.Text()), Size: r.Size}, client: r.Account()}
	if err := u.begin(p); err != nil {
		return err
	}
	t := &transfer{u: u, w: w, r: r, progress: p, limit: u.options.MaxSize, tooLarge: u.tooLarge(r.Size)}
	if isForm {
		err = t.form(boundary)
	} else {
		err = t.body()
	}
	var files []stored
	if err == nil {
		files, err = t.commit()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // transfer.begin sets a deadline when the client disconnects
		err = backend.ErrGone
	}
	if err != nil {
		t.abort()
		text := "the client has disconnected"
		if err != backend.ErrGone {
			text = refusalOf(err).text
		}
		p.end(stateFailed, text)
		return err
	}
	p.end(stateStored, "")
	u.finish(w, result{ID: p.report.ID, Files: files, Fields: t.fields})
	return nil
}

// tooLarge returns the error for an upload that exceeds the limit. size is the size of the upload in bytes, or negative
// if it is unknown.
func (u *Upload) tooLarge(size int64) error {
	limit := u.options.MaxSize
	return &refusal{status: 413, text: "the upload is too large" + exchange.AtMost(limit),
		limit: exchange.Limit{Setting: "max-size", Max: limit, Size: max(size, limit+1)}}
}

func (u *Upload) finish(w *backend.ResponseWriter, done result) {
	if u.options.HandsOn {
		u.handOn(w, done, "")
		return
	}
	for i := range done.Files {
		done.Files[i].Path = ""
	}
	respondJSON(w, 201, "", done)
}

func (u *Upload) handOn(w *backend.ResponseWriter, done result, fields string) {
	done.Key = u.options.Key
	data, _ := json.Marshal(done)
	w.HandOn(data, []byte(fields))
}

const maxID = 64

func idOf(r *backend.Request) string {
	query, err := url.ParseQuery(r.Query())
	if err != nil {
		return ""
	}
	id := query.Get("id")
	if len(id) > maxID || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return ""
	}
	return id
}

type refusal struct {
	status int
	text   string
	// an error to log for the operator; nil for mistakes of clients
	cause error
	limit exchange.Limit // the limit that the upload exceeds, or the zero value
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return fmt.Sprintf("%s: %v", r.text, r.cause)
	}
	return r.text
}

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

var (
	errBusy    = &refusal{status: 423, text: "another upload of this file is under way"}
	errExists  = &refusal{status: 409, text: "a file with this name exists"}
	errNoSpace = &refusal{status: 507, text: "not enough space for the upload"}
)

// refusalOf converts an error to a refusal, with an error of the file system as the cause, which is logged.
func refusalOf(err error) *refusal {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return &refusal{status: errNoSpace.status, text: errNoSpace.text, cause: err}
	}
	return &refusal{status: 500, text: "cannot store the upload", cause: err}
}

// Scripts pass Options as JSON.
type Options struct {
	// Path is a directory in which clients choose file names, a single file that each upload replaces, or a device or
	// FIFO to which uploads are written. Path need not exist if its parent directory exists.
	Path string `json:"path" key:"to" is:"path" needs:"the path of a directory or file" short:"a directory, a file"`

	// Descriptor is the file descriptor to which uploads are written if Path is empty; New duplicates the descriptor.
	Descriptor int `json:"descriptor"`

	// If Pieces is not 0, uploads are passed to the handler in pieces of this size, in bytes (see device.go). 0 means
	// that uploads are written to Path or Descriptor.
	Pieces int `json:"pieces"`

	// MaxSize limits the total size of the files in a request, in bytes; 0 means no limit.
	MaxSize int64 `json:"max_size" key:"max-size"`
	// MaxActive limits the number of simultaneous uploads; 0 means 16.
	MaxActive int `json:"max_active" key:"max-active" range:"1-1000"`
	// Sync is the number of bytes after which the file is synced to disk, 0 to sync only at its end, or syncNone.
	Sync    int64 `json:"sync" key:"sync" is:"sync"`
	Replace bool  `json:"replace" key:"replace"`     // uploads may replace existing files
	Mode    int   `json:"mode" key:"mode" is:"mode"` // permissions of a stored file; 0 means 0644
	// Channel receives events about the progress of uploads; empty for none.
	Channel string `json:"channel" key:"channel"`
	// Resumable enables the tus protocol, if Path is a directory or a file.
	Resumable bool `json:"resumable" key:"resumable"`
	// Expires is how long an upload that the client does not resume is kept; 0 means 24 hours.
	Expires time.Duration `json:"expires" key:"expires"`
	// Key is a secret that proves to the handler that the description of an upload is from the server and not from a
	// client.
	Key     string `json:"key"`
	HandsOn bool   `json:"hands_on"` // a handler receives finished uploads and responds

	// Origins lists origins, such as "https://example.org", whose pages may upload, in addition to pages of the same
	// host. "*" permits all origins.
	Origins []string `json:"origins" key:"origins"`

	// Root is the directory that the process enters with chroot before it serves requests; empty for none.
	Root  string                    `json:"-"`
	Group *Group                    `json:"-"` // the group to join; nil for none
	Log   func(client, line string) `json:"-"` // logs a line for the operator on any goroutine
}

const syncNone = -1

func ParseOptions(text string) (o Options, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return o, fmt.Errorf("options of an upload: %w", err)
	}
	return o, nil
}

func (o *Options) check() error {
	switch {
	case o.Pieces < 0 || o.Pieces > maxPiece || o.Pieces > 0 && !o.HandsOn:
		return fmt.Errorf("pieces must have 1 to %d bytes, and a handler, not %d", maxPiece, o.Pieces)
	case o.Path == "" && o.Descriptor < 0 && o.Pieces == 0:
		return errors.New("neither a path nor a descriptor")
	case o.Sync < syncNone || o.Sync > 0 && o.Sync < 4096:
		return fmt.Errorf("sync must be at least 4096 bytes, not %d", o.Sync)
	}
	for _, origin := range o.Origins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Host == "" ||
			!strings.EqualFold(origin, u.Scheme+"://"+u.Host)) {
			return fmt.Errorf("origins: %q is not an origin, such as \"https://example.org\", or \"*\"", origin)
		}
	}
	o.Expires = cmp.Or(o.Expires, 24*time.Hour)
	o.MaxActive = cmp.Or(o.MaxActive, 16)
	o.Mode = cmp.Or(o.Mode, 0o644)
	o.MaxSize = cmp.Or(o.MaxSize, math.MaxInt64)
	o.Group = cmp.Or(o.Group, &Group{})
	return nil
}
