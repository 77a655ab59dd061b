package upload

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// An upload that may be continued is two files in the directory of its target: the bytes so far, which are locked while a process
// writes them, and a description, which does not change. So it is continued by any worker, also after a restart. The size of the first
// file is the offset at which the client goes on, and its time of modification is that of the last sign of life.
const (
	partialSuffix     = ".tus"
	descriptionSuffix = ".tus.json"
)

// maxPartial bounds the unfinished uploads of a directory, and maxOwned those of one client.
const (
	maxPartial = 100
	maxOwned   = 25
)

// emptyExpires is how long an upload is kept of which no byte has arrived.
const emptyExpires = 5 * time.Minute

// description says what an upload is to become.
type description struct {
	Length   int64      `json:"length"` // bytes
	Name     string     `json:"name"`   // "": the target has only one
	Type     string     `json:"type"`
	Fields   url.Values `json:"fields"`
	Metadata string     `json:"metadata"` // as the client has sent it
	Owner    string     `json:"owner"`    // the client: see clientOf
}

// partial is an upload that may be continued, and that is locked.
type partial struct {
	*draft
	description
	id      string
	touched time.Time // when bytes have arrived
}

// shown returns the name of the upload in reports, which all clients may see. The id is a secret of its client, because it continues the upload.
func (p *partial) shown() string {
	sum := sha256.Sum256([]byte(p.id))
	return hex.EncodeToString(sum[:12])
}

var errUnknown = &refusal{status: 404, text: "there is no such upload"}

// create begins an upload that may be continued.
func (t *folder) create(id string, what description) (p *partial, err error) {
	dir, err := t.open()
	if err != nil {
		return nil, err
	}
	if unfinished := t.expire(dir); len(unfinished) >= maxPartial || what.Owner != "" && ownedBy(what.Owner, dir, unfinished) >= maxOwned {
		dir.Close()
		return nil, refuse(503, "too many unfinished uploads")
	}
	var d *draft
	name := cmp.Or(t.only, what.Name)
	if err = t.vacant(dir, name); err == nil {
		d, err = t.draft(dir, name, hiddenPrefix+id+partialSuffix, unix.O_CREAT|unix.O_EXCL)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	p = &partial{draft: d, description: what, id: id, touched: time.Now()}
	text, err := json.Marshal(what)
	if err == nil {
		err = d.room(stored{Size: what.Length})
	}
	if err == nil {
		err = writeFile(dir, hiddenPrefix+id+descriptionSuffix, text)
	}
	if err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

// ownedBy returns how many of the uploads of dir are of a client.
func ownedBy(owner string, dir *os.File, ids []string) (n int) {
	for _, id := range ids {
		if what, err := describe(dir, id); err == nil && what.Owner == owner {
			n++
		}
	}
	return n
}

// resume opens an upload that was created. The error is errUnknown if there is none, and errBusy if another request has it.
func (t *folder) resume(id string) (*partial, error) {
	if !isToken(id) {
		return nil, errUnknown
	}
	dir, err := t.open()
	if err != nil {
		return nil, err
	}
	p, err := t.read(dir, id)
	if err != nil {
		dir.Close()
		return nil, err
	}
	return p, nil
}

// read is resume in a directory, which belongs to the upload if there is no error.
func (t *folder) read(dir *os.File, id string) (*partial, error) {
	what, err := describe(dir, id)
	if err != nil {
		return nil, err
	}
	d, err := t.draft(dir, cmp.Or(t.only, what.Name), hiddenPrefix+id+partialSuffix, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	p := &partial{draft: d, description: what, id: id}
	st, err := d.f.Stat()
	if err == nil {
		d.size, p.touched = st.Size(), st.ModTime()
		_, err = d.f.Seek(0, io.SeekEnd)
	}
	if err != nil || t.expired(p.touched, d.size) {
		d.f.Close()
		return nil, cmp.Or(err, error(errUnknown))
	}
	return p, nil
}

// describe reads the description of an upload.
func describe(dir *os.File, id string) (what description, err error) {
	fd, err := system.OpenAt(int(dir.Fd()), hiddenPrefix+id+descriptionSuffix, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err == unix.ENOENT {
		return what, errUnknown
	}
	if err != nil {
		return what, err
	}
	f := os.NewFile(uintptr(fd), id)
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err == nil && json.Unmarshal(text, &what) != nil {
		err = errUnknown // the power has failed while it was written
	}
	return what, err
}

// expired reports whether an upload of size bytes that was last written at a time is too old.
func (t *folder) expired(touched time.Time, size int64) bool {
	return time.Now().After(t.expiry(touched, size))
}

// expiry returns when it is.
func (t *folder) expiry(touched time.Time, size int64) time.Time {
	expires := t.options.Expires
	if size == 0 {
		expires = min(expires, emptyExpires)
	}
	return touched.Add(expires)
}

// expireLater has uploads removed that are not continued in time, also if no other one comes.
func (t *folder) expireLater() {
	if t.looks.Swap(true) {
		return
	}
	time.AfterFunc(time.Until(t.expiry(time.Now(), 0)), func() {
		t.looks.Store(false)
		dir, err := t.open()
		if err != nil {
			return // the next upload will tell
		}
		defer dir.Close()
		if len(t.expire(dir)) > 0 {
			t.expireLater()
		}
	})
}

// expire removes uploads of dir that are too old, and returns the others.
func (t *folder) expire(dir *os.File) (others []string) {
	_, _ = dir.Seek(0, io.SeekStart)
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		id, isHidden := strings.CutPrefix(name, hiddenPrefix)
		id, isDescription := strings.CutSuffix(id, descriptionSuffix)
		if !isHidden || !isDescription || !isToken(id) {
			continue
		}
		var st unix.Stat_t
		err := unix.Fstatat(int(dir.Fd()), hiddenPrefix+id+partialSuffix, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && !t.expired(time.Unix(st.Mtim.Unix()), st.Size) {
			others = append(others, id)
			continue
		}
		if err != nil { // it is being created or removed, or that was interrupted
			if err = unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && t.expired(time.Unix(st.Mtim.Unix()), st.Size) {
				_ = unix.Unlinkat(int(dir.Fd()), name, 0)
			}
			continue
		}
		if f, err := openLocked(dir, hiddenPrefix+id+partialSuffix, 0); err == nil {
			_ = unix.Unlinkat(int(dir.Fd()), name, 0)
			_ = unix.Unlinkat(int(dir.Fd()), hiddenPrefix+id+partialSuffix, 0)
			f.Close()
		}
	}
	return others
}

// remove removes the upload. p must not be used afterwards.
func (p *partial) remove() {
	_ = unix.Unlinkat(int(p.dir.Fd()), hiddenPrefix+p.id+descriptionSuffix, 0)
	p.abort()
}

// finish gives the file its name.
func (p *partial) finish() error {
	_ = unix.Unlinkat(int(p.dir.Fd()), hiddenPrefix+p.id+descriptionSuffix, 0)
	return p.commit()
}

// writeFile writes a file that does not exist.
func writeFile(dir *os.File, name string, text []byte) error {
	fd, err := system.OpenAt(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(text)
	return cmp.Or(err, f.Close())
}

// isToken reports whether id may be the name of an upload: as rand.Text makes them.
func isToken(id string) bool {
	return len(id) >= 26 && len(id) <= 40 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
