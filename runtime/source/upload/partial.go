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
	"slices"
	"sort"
	"strings"
	"time"
)

// A resumable upload consists of two files in the directory of its target. One file contains the bytes received so far,
// and is locked while a process writes to it. The other file contains the description of the upload, which does not
// change. The description is created after the file with the bytes, and is removed before that file. Therefore any
// worker can resume the upload, even after a restart. The size of the file with the bytes is the offset at which the
// client continues, and its modification time is the time of the last activity.
const (
	partialSuffix     = ".tus"
	descriptionSuffix = ".tus.json"
)

// maxPartial limits the number of unfinished uploads for a directory, and maxOwned limits this number for each client
// (see makeRoom).
const (
	maxPartial = 100
	maxOwned   = 25
)

// emptyExpires is how long an upload without any bytes is kept.
const emptyExpires = 5 * time.Minute

type description struct {
	Length   int64      `json:"length"` // in bytes
	Name     string     `json:"name"`   // empty if the target is a single file
	Type     string     `json:"type"`
	Fields   url.Values `json:"fields"`
	Metadata string     `json:"metadata"` // as the client sent it
	Owner    string     `json:"owner"`    // the client (see backend.Request.Account)
}

type partial struct {
	*draft
	description
	id      string
	touched time.Time
}

// shown returns an identifier of the upload for reports. All clients may read the reports, so they must not contain the
// id, with which a client can resume the upload.
func (p *partial) shown() string {
	sum := sha256.Sum256([]byte(p.id))
	return hex.EncodeToString(sum[:12])
}

var errUnknown = &refusal{status: 404, text: "there is no such upload"}

func (t *directory) create(id string, upload description) (p *partial, err error) {
	t.creating.Lock()
	defer t.creating.Unlock()
	if err := t.admit(upload.Owner); err != nil {
		return nil, err
	}
	d, err := t.draft(cmp.Or(t.only, upload.Name), hiddenPrefix+id+partialSuffix, os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	p = &partial{draft: d, description: upload, id: id, touched: time.Now()}
	text, err := json.Marshal(upload)
	if err == nil {
		err = d.room(stored{Size: upload.Length})
	}
	if err == nil {
		err = d.dir.WriteFile(hiddenPrefix+id+descriptionSuffix, text, 0o600)
	}
	if err != nil {
		p.remove()
		return nil, err
	}
	t.unfinished = append(t.unfinished, unfinished{id, upload.Owner})
	return p, nil
}

type unfinished struct{ id, owner string }

// admit returns an error if the directory or the client has too many unfinished uploads; the caller must hold
// t.creating.
func (t *directory) admit(owner string) error {
	dir, err := t.open()
	if err != nil {
		return err
	}
	defer dir.Close()
	t.find(dir)
	owned := map[string]int{}
	for _, one := range t.unfinished {
		owned[one.owner]++
	}
	if owner != "" && owned[owner] >= maxOwned || len(t.unfinished) >= maxPartial && !t.makeRoom(dir, owned,
		owned[owner]) {
		return refuse(503, "too many unfinished uploads")
	}
	return nil
}

// makeRoom removes an unfinished upload of the client that has the most, if it has at least own+2. Without makeRoom, a
// few clients that each send a byte a day could lock out all other clients.
func (t *directory) makeRoom(dir *os.Root, owned map[string]int, own int) bool {
	sort.SliceStable(t.unfinished, func(i, j int) bool { return owned[t.unfinished[i].owner] > owned[t.unfinished[j].owner] })
	for i, one := range t.unfinished {
		if owned[one.owner] <= own+1 {
			break
		}
		if discard(dir, one.id) {
			t.unfinished = slices.Delete(t.unfinished, i, i+1)
			return true
		}
	}
	return false
}

// find updates t.unfinished. Other processes create uploads, too, so find searches the whole directory, but for at most
// 2 % of the time.
func (t *directory) find(dir *os.Root) {
	now := time.Now()
	if now.Before(t.until) {
		t.unfinished = slices.DeleteFunc(t.unfinished, func(one unfinished) bool { return !t.keeps(dir, one.id) })
		return
	}
	t.unfinished = t.unfinished[:0]
	for _, id := range t.expire(dir) {
		what, _ := describe(dir, id)
		t.unfinished = append(t.unfinished, unfinished{id, what.Owner})
	}
	t.until = time.Now().Add(max(time.Second, 50*time.Since(now)))
}

// resume opens an unfinished upload. resume returns errUnknown if the upload does not exist, and errBusy if another
// request holds its lock.
func (t *directory) resume(id string) (*partial, error) {
	if !isToken(id) {
		return nil, errUnknown
	}
	d, err := t.draft("", hiddenPrefix+id+partialSuffix, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	p := &partial{draft: d, id: id}
	st, err := d.f.Stat()
	if err == nil {
		d.size, p.touched = st.Size(), st.ModTime()
		_, err = d.f.Seek(0, io.SeekEnd)
	}
	if err == nil {
		p.description, err = describe(d.dir, id)
	}
	if err == nil && t.expired(p.touched, d.size) {
		err = errUnknown
	}
	if err != nil {
		_ = d.close()
		return nil, err
	}
	t.call(d, cmp.Or(t.only, p.Name))
	return p, nil
}

func describe(dir *os.Root, id string) (upload description, err error) {
	text, err := dir.ReadFile(hiddenPrefix + id + descriptionSuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(text, &upload) != nil {
		err = errUnknown
	}
	return upload, err
}

func (t *directory) expired(touched time.Time, size int64) bool {
	return time.Now().After(t.expiry(touched, size))
}

func (t *directory) expiry(touched time.Time, size int64) time.Time {
	expires := t.options.Expires
	if size == 0 {
		expires = min(expires, emptyExpires)
	}
	return touched.Add(expires)
}

func (t *directory) expireLater() {
	if t.looks.Swap(true) {
		return
	}
	time.AfterFunc(time.Until(t.expiry(time.Now(), 0)), func() {
		t.looks.Store(false)
		dir, err := t.open()
		if err != nil {
			return // the next upload will get the same error and report it
		}
		defer dir.Close()
		if len(t.expire(dir)) > 0 {
			t.expireLater()
		}
	})
}

func (t *directory) expire(dir *os.Root) (rest []string) {
	for id := range entries(dir, partialSuffix) {
		if isToken(id) && t.keeps(dir, id) {
			rest = append(rest, id)
		}
	}
	return rest
}

func (t *directory) keeps(dir *os.Root, id string) bool {
	info, err := dir.Lstat(hiddenPrefix + id + partialSuffix)
	switch {
	case err != nil:
		return false
	case !t.expired(info.ModTime(), info.Size()):
		return true
	}
	discard(dir, id)
	return false
}

// discard removes an upload. discard returns false if a process is writing it.
func discard(dir *os.Root, id string) bool {
	data := hiddenPrefix + id + partialSuffix
	f, err := openLocked(dir, data, 0)
	if err == nil {
		_ = dir.Remove(hiddenPrefix + id + descriptionSuffix)
		_ = dir.Remove(data)
		f.Close()
	}
	return err == nil
}

// remove removes the files of p, and must be the last call for p.
func (p *partial) remove() {
	_ = p.dir.Remove(hiddenPrefix + p.id + descriptionSuffix)
	p.abort()
}

func isToken(id string) bool {
	return len(id) >= 26 && len(id) <= 40 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
