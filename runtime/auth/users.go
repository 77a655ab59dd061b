package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fapws/runtime/system"
)

// Users are the names and hashes of a file, which is read again when it has changed. Its
// methods are safe for concurrent use.
type Users struct {
	checker  *Checker
	path     string
	optional bool // the file may be missing: it has no users then
	log      func(line string)
	secret   [32]byte

	table   atomic.Pointer[table]
	file    OpenFile     // of table
	looking sync.Mutex   // a goroutine looks at the file
	looked  atomic.Int64 // when that was last done, as Checker.now

	mu           sync.Mutex
	right, wrong memory
}

const (
	lookEvery = time.Second // at the path, which may lead elsewhere
	maxFile   = 16 << 20    // bytes
	maxRight  = 1024        // pairs that are remembered, and as many older ones
	maxWrong  = 2048
)

// NewUsers reads a file with a line "user:hash" for each user. optional: the file need not exist yet, but its directory; there are no users
// then. log, unless it is nil, gets a line when the file has changed and cannot be used; the previous users stay valid. The error is one
// line that names the file and the line.
func NewUsers(c *Checker, path string, optional bool, log func(line string)) (*Users, error) {
	u := &Users{checker: c, path: path, optional: optional, log: log, right: memory{size: maxRight}, wrong: memory{size: maxWrong}}
	rand.Read(u.secret[:])
	t, err := readTable(path, &u.file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		if _, err = os.Stat(filepath.Dir(path)); err == nil {
			t = &table{}
		}
	}
	if err != nil {
		return nil, err
	}
	u.table.Store(t)
	u.looked.Store(int64(c.now()))
	return u, nil
}

// Path returns the path of the file.
func (u *Users) Path() string { return u.path }

// Empty reports whether there are no users. It does not block.
func (u *Users) Empty() bool { return len(u.table.Load().hashes) == 0 }

// Hash returns the text behind a name in the file; "": there is no such user. It does not block.
func (u *Users) Hash(name string) string { return u.table.Load().hashes[name] }

// Fresh reports whether the users are those of the file, as far as can be told without the disk. Otherwise Refresh comes
// before a question. A file that cannot be used is read once a second, not for each question. It does not block.
func (u *Users) Fresh() bool {
	return u.checker.now()-time.Duration(u.looked.Load()) <= lookEvery && (u.file.Unchanged() || u.table.Load().complaint != "")
}

// Refresh reads the file if it has changed.
func (u *Users) Refresh() {
	asked := int64(u.checker.now())
	u.looking.Lock()
	defer u.looking.Unlock()
	if u.looked.Load() > asked { // by another one, meanwhile
		return
	}
	defer func() { u.looked.Store(int64(u.checker.now())) }()
	old := u.table.Load()
	if u.file.Unchanged() && sameFile(u.path, old.info) {
		u.complain(old, "")
		return
	}
	t, err := readTable(u.path, &u.file)
	if err == nil {
		u.table.Store(t)
		return
	}
	if u.optional && len(old.hashes) == 0 && errors.Is(err, fs.ErrNotExist) {
		return
	}
	u.complain(old, err.Error())
}

// complain notes the mistake in the file, "" for none, and logs it once.
func (u *Users) complain(old *table, complaint string) {
	if old.complaint == complaint {
		return
	}
	kept := *old
	kept.complaint = complaint
	u.table.Store(&kept)
	if complaint != "" && u.log != nil {
		u.log("users: " + complaint + "; the previous users stay valid")
	}
}

// Known returns the remembered verdict on a pair "user:password": Right, Wrong or Unknown. It does not block, and
// does not allocate.
func (u *Users) Known(pair []byte) Verdict {
	return u.recall(u.key(pair), u.table.Load(), u.checker.now())
}

func (u *Users) recall(k key, of *table, now time.Duration) Verdict {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r, ok := u.right.get(k); ok && r.told(of, now) {
		return Right
	}
	if r, ok := u.wrong.get(k); ok && r.told(of, now) {
		return Wrong
	}
	return Unknown
}

// verify compares a password with its hash, unless another check has done so meanwhile. Of a
// wrong one, held returns how long to keep that back; it is told whether this one was computed.
func (u *Users) verify(user, password string, held func(computed bool) time.Duration) (v Verdict, delay time.Duration) {
	if !u.Fresh() {
		u.Refresh()
	}
	k, of := u.key([]byte(user+":"+password)), u.table.Load()
	const ever = 1<<63 - 1
	computed := false
	if v = u.recall(k, of, ever); v == Unknown {
		if v, computed = Wrong, true; of.verify(user, password) {
			v = Right
		}
	}
	if v == Right {
		u.remember(&u.right, k, remembered{of, 0})
		return v, 0
	}
	delay = held(computed)
	u.remember(&u.wrong, k, remembered{of, u.checker.now() + delay})
	return v, delay
}

func (u *Users) remember(m *memory, k key, r remembered) {
	u.mu.Lock()
	defer u.mu.Unlock()
	m.add(k, r)
}

// key returns the keyed hash of a pair.
func (u *Users) key(pair []byte) key {
	var buf [32 + maxText]byte
	n := copy(buf[:], u.secret[:])
	if len(pair) > maxText { // of a form: not on the path of every request
		pair := sha256.Sum256(pair)
		n += copy(buf[n:], pair[:])
	} else {
		n += copy(buf[n:], pair)
	}
	return sha256.Sum256(buf[:n])
}

// OpenFile keeps a file open that was read, so that the event loop notices at once that it has changed: fstat(2) of an
// open file asks the kernel's memory, not the disk. The zero value has no file. Its methods are safe for concurrent use.
type OpenFile struct {
	mu    sync.Mutex
	file  *os.File
	stamp stamp
}

// stamp tells states of a file apart. The time of the last status change is later after writing, and after a rename
// of or over the file.
type stamp struct {
	size, changed int64
	linked        bool // it has a name
}

func stampOf(st *syscall.Stat_t) stamp {
	at := system.StatusChange(st)
	return stamp{st.Size, at.Nano(), st.Nlink > 0}
}

// Keep makes f the file, which is closed when another one takes its place. info describes it before it was read.
func (o *OpenFile) Keep(f *os.File, info fs.FileInfo) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		o.file.Close()
	}
	o.file, o.stamp = f, stampOf(info.Sys().(*syscall.Stat_t))
}

// Unchanged reports whether the file is as it was when Keep was called, and still has its name. It does not block: while
// Keep runs, and without a file, it reports false.
func (o *OpenFile) Unchanged() bool {
	if !o.mu.TryLock() {
		return false
	}
	defer o.mu.Unlock()
	if o.file == nil {
		return false
	}
	var st syscall.Stat_t
	return syscall.Fstat(int(o.file.Fd()), &st) == nil && stampOf(&st) == o.stamp && o.stamp.linked
}

// Close closes the file.
func (o *OpenFile) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		o.file.Close()
		o.file = nil
	}
}

// table are the lines of a file. They do not change.
type table struct {
	hashes    map[string]string
	dummy     string      // a hash to compare with where there is no such user, so that it takes as long
	info      fs.FileInfo // of the file; nil without one
	complaint string      // about a newer file that cannot be used, "" without one
}

// sameFile reports whether a path leads to the file that info describes.
func sameFile(path string, info fs.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && info != nil && os.SameFile(now, info)
}

// readTable reads a file, and keeps it open in keep. The error is one line.
func readTable(path string, keep *OpenFile) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t, err := tableOf(f, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	keep.Keep(f, t.info)
	return t, nil
}

func tableOf(f *os.File, path string) (*table, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	t, err := parseTable(path, text)
	if err == nil {
		t.info = info
	}
	return t, err
}

// parseTable reads lines "user:hash"; empty ones and those that begin with "#" do not count. Text behind a second
// colon is a comment. The error names path, the file that they are from, and the line.
func parseTable(path string, text []byte) (*table, error) {
	u, line := &table{hashes: map[string]string{}}, 0
	for one := range bytes.Lines(text) {
		line++
		s := strings.TrimSpace(string(one))
		if s == "" || s[0] == '#' {
			continue
		}
		name, rest, found := strings.Cut(s, ":")
		hash, _, _ := strings.Cut(rest, ":")
		err := checkHash(hash)
		if !found || name == "" || hash == "" || err != nil && CheckName(name) != nil { // another file: the name could disturb a terminal
			return nil, fmt.Errorf("%s:%d: not user:hash", path, line)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: user %s: %w", path, line, name, err)
		}
		u.hashes[name] = hash
		if u.dummy == "" {
			u.dummy = hash
		}
	}
	return u, nil
}

func (u *table) verify(name, password string) bool {
	hash, ok := u.hashes[name]
	if !ok {
		hash = u.dummy
	}
	return verify(hash, password) && ok
}
