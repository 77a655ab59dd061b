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
	"strings"
	"time"
)

// An upload that may be continued is two files in the directory of its target: the bytes so far, which are locked while a process
// writes them, and a description, which does not change, and which is made later and removed earlier. So it is continued by any worker, also after a restart. The size of the first
// file is the offset at which the client goes on, and its time of modification is that of the last sign of life.
const (
	partialSuffix     = ".tus"
	descriptionSuffix = ".tus.json"
)

// maxPartial bounds the unfinished uploads of a directory, and maxOwned those of one client. Of a full directory, see makeRoom.
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
	Owner    string     `json:"owner"`    // the client: see backend.Request.Account
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
func (t *directory) create(id string, what description) (p *partial, err error) {
	t.creating.Lock()
	defer t.creating.Unlock()
	if err := t.admit(what.Owner); err != nil {
		return nil, err
	}
	d, err := t.draft(cmp.Or(t.only, what.Name), hiddenPrefix+id+partialSuffix, os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	p = &partial{draft: d, description: what, id: id, touched: time.Now()}
	text, err := json.Marshal(what)
	if err == nil {
		err = d.room(stored{Size: what.Length})
	}
	if err == nil {
		err = d.dir.WriteFile(hiddenPrefix+id+descriptionSuffix, text, 0o600)
	}
	if err != nil {
		p.remove()
		return nil, err
	}
	t.unfinished = append(t.unfinished, unfinished{id, what.Owner})
	return p, nil
}

// unfinished is an upload that may be continued, as far as its client's share of them is concerned.
type unfinished struct{ id, owner string }

// admit returns an error if a client cannot begin an upload, because there are too many. t.creating is held.
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
	if owner != "" && owned[owner] >= maxOwned || len(t.unfinished) >= maxPartial && !t.makeRoom(dir, owned, owned[owner]) {
		return refuse(503, "too many unfinished uploads")
	}
	return nil
}

// makeRoom removes an upload of the client that owns most of them, if these are more than a client with own would have then. Otherwise a few
// clients that send a byte a day would keep all others out.
func (t *directory) makeRoom(dir *os.Root, owned map[string]int, own int) bool {
	slices.SortStableFunc(t.unfinished, func(a, b unfinished) int { return owned[b.owner] - owned[a.owner] })
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

// find updates t.unfinished. Uploads of other processes are looked for in the whole directory, which takes a fiftieth of the time at most.
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

// resume opens an upload that was created. The error is errUnknown if there is none, and errBusy if another request has it.
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

// describe reads the description of an upload.
func describe(dir *os.Root, id string) (what description, err error) {
	text, err := dir.ReadFile(hiddenPrefix + id + descriptionSuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(text, &what) != nil { // the power has failed while it was written
		err = errUnknown
	}
	return what, err
}

// expired reports whether an upload of size bytes that was last written at a time is too old.
func (t *directory) expired(touched time.Time, size int64) bool {
	return time.Now().After(t.expiry(touched, size))
}

// expiry returns when it is.
func (t *directory) expiry(touched time.Time, size int64) time.Time {
	expires := t.options.Expires
	if size == 0 {
		expires = min(expires, emptyExpires)
	}
	return touched.Add(expires)
}

// expireLater has uploads removed that are not continued in time, also if no other one comes.
func (t *directory) expireLater() {
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
func (t *directory) expire(dir *os.Root) (others []string) {
	for id := range entries(dir, partialSuffix) {
		if isToken(id) && t.keeps(dir, id) {
			others = append(others, id)
		}
	}
	return others
}

// keeps reports whether dir still has an upload. One that is too old is removed.
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

// discard removes an upload, unless a process writes it: then it returns false.
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

// remove removes the upload. p must not be used afterwards.
func (p *partial) remove() {
	_ = p.dir.Remove(hiddenPrefix + p.id + descriptionSuffix)
	p.abort()
}

// finish gives the file its name.
func (p *partial) finish() error {
	_ = p.dir.Remove(hiddenPrefix + p.id + descriptionSuffix)
	return p.commit()
}

// isToken reports whether id may be the name of an upload: as rand.Text makes them.
func isToken(id string) bool {
	return len(id) >= 26 && len(id) <= 40 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
