package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Users are the names and hashes of a file, which is read again when it has changed. Its
// methods are safe for concurrent use.
type Users struct {
	checker *Checker
	path    string
	log     func(line string)
	secret  [32]byte

	table   atomic.Pointer[table]
	looking atomic.Bool  // a goroutine looks at the file
	looked  atomic.Int64 // when that was last done, as Checker.now

	mu           sync.Mutex
	right, wrong memory
}

const (
	lookEvery = time.Second // at the file
	maxFile   = 16 << 20    // bytes
	maxRight  = 1024        // pairs that are remembered, and as many older ones
	maxWrong  = 2048
)

// NewUsers reads a file with a line "user:hash" for each user. log, unless it is nil, gets a
// line when the file has changed and cannot be used; the previous users stay valid. The error is one
// line that names the file and the line.
func NewUsers(c *Checker, path string, log func(line string)) (*Users, error) {
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	u := &Users{checker: c, path: path, log: log, right: memory{size: maxRight}, wrong: memory{size: maxWrong}}
	rand.Read(u.secret[:])
	u.table.Store(t)
	u.looked.Store(int64(c.now()))
	return u, nil
}

// Known returns the remembered verdict on a pair "user:password": Right, Wrong or Unknown. It does not block, and
// does not allocate.
func (u *Users) Known(pair []byte) Verdict {
	now := u.checker.now()
	if now-time.Duration(u.looked.Load()) > lookEvery && u.looking.CompareAndSwap(false, true) {
		go u.look()
	}
	return u.recall(u.key(pair), u.table.Load(), now)
}

func (u *Users) recall(k key, of *table, now time.Duration) Verdict {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.right.has(k, of, now):
		return Right
	case u.wrong.has(k, of, now):
		return Wrong
	}
	return Unknown
}

// verify compares a password with its hash, unless another check has done so meanwhile. Of a
// wrong one, held returns how long to keep that back; it is told whether this one was computed.
func (u *Users) verify(user, password string, held func(computed bool) time.Duration) (v Verdict, delay time.Duration) {
	if u.looking.CompareAndSwap(false, true) {
		u.look()
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

// look reads the file again if it has changed. looking is set.
func (u *Users) look() {
	defer u.looking.Store(false)
	defer func() { u.looked.Store(int64(u.checker.now())) }()
	old := u.table.Load()
	info, err := os.Stat(u.path)
	if err == nil && stampOf(info) == old.stamp {
		return
	}
	t, err := readTable(u.path)
	if err == nil {
		u.table.Store(t)
		return
	}
	if old.complaint != err.Error() {
		kept := *old
		kept.complaint = err.Error()
		u.table.Store(&kept)
		if u.log != nil {
			u.log(err.Error() + "; the previous users stay valid")
		}
	}
}
