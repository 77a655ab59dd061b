package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Users are the names and hashes of a file, which is read again when it has changed. Its
// methods are safe for concurrent use.
type Users struct {
	watched[table]
	checker *Checker
	log     func(line string)
	secret  [32]byte
}

const (
	maxRight = 1024 // pairs that are remembered, and as many older ones
	maxWrong = 2048
)

// NewUsers reads a file with a line "user:hash" for each user. optional: the file need not exist yet, but its directory; there are no users
// then. log, unless it is nil, gets a line when the file has changed and cannot be used; the previous users stay valid. The error is one
// line that names the file and the line.
func NewUsers(c *Checker, path string, optional bool, log func(line string)) (*Users, error) {
	u := &Users{checker: c, log: log}
	u.path, u.optional = path, optional
	u.parse = func(text []byte) (*table, error) { return parseTable(path, text) }
	rand.Read(u.secret[:])
	u.value.Store(&table{})
	err := u.refresh()
	if u.Empty() && err == nil {
		_, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// Path returns the path of the file.
func (u *Users) Path() string { return u.path }

// Empty reports whether there are no users. It does not block.
func (u *Users) Empty() bool { return len(u.value.Load().hashes) == 0 }

// Hash returns the text behind a name in the file; "": there is no such user. It does not block.
func (u *Users) Hash(name string) string { return u.value.Load().hashes[name] }

// Refresh reads the file if it has changed.
func (u *Users) Refresh() {
	if err := u.refresh(); err != nil && u.log != nil {
		u.log("users: " + err.Error() + "; the previous users stay valid")
	}
}

// Known returns the remembered verdict on a pair "user:password": Right, Wrong or Unknown. It does not block, and
// does not allocate.
func (u *Users) Known(pair []byte) Verdict {
	return u.value.Load().recall(u.key(pair), u.checker.now())
}

// verify compares a password with its hash, unless another check has done so meanwhile. Of a
// wrong one, held returns how long to keep that back; it is told whether this one was computed.
func (u *Users) verify(user, password string, held func(computed bool) time.Duration) (v Verdict, delay time.Duration) {
	if !u.Fresh() {
		u.Refresh()
	}
	k, of := u.key([]byte(user+":"+password)), u.value.Load()
	const ever = 1<<63 - 1
	v = of.recall(k, ever)
	computed := v == Unknown
	if v == Right || computed && of.verify(user, password) {
		of.remember(&of.right, k, 0)
		return Right, 0
	}
	delay = held(computed)
	of.remember(&of.wrong, k, u.checker.now()+delay)
	return Wrong, delay
}

// key is a keyed hash of a pair, so that a copy of the memory shows no password.
type key [32]byte

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

// table are the lines of a file, which do not change, and the pairs of a name and a password that were compared.
type table struct {
	hashes map[string]string
	dummy  string // a hash to compare with where there is no such user, so that it takes as long

	mu           sync.Mutex
	right, wrong recent[key, time.Duration] // pairs that were compared, and from when on clients may learn that
}

func (t *table) recall(k key, now time.Duration) Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.right.get(k); ok {
		return Right
	}
	if from, ok := t.wrong.get(k); ok && now >= from {
		return Wrong
	}
	return Unknown
}

func (t *table) remember(in *recent[key, time.Duration], k key, from time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	in.add(k, from)
}

// parseTable reads lines "user:hash"; empty ones and those that begin with "#" do not count. Text behind a second
// colon is a comment. The error names path, the file that they are from, and the line.
func parseTable(path string, text []byte) (*table, error) {
	u, line := &table{hashes: map[string]string{}}, 0
	u.right.size, u.wrong.size = maxRight, maxWrong
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

// recent remembers at least the last size values that were used: when the newer half is full, the older half is forgotten.
type recent[K comparable, V any] struct {
	size         int
	newer, older map[K]V
}

func (m *recent[K, V]) get(k K) (v V, ok bool) {
	if v, ok = m.newer[k]; !ok {
		if v, ok = m.older[k]; ok {
			m.add(k, v)
		}
	}
	return v, ok
}

func (m *recent[K, V]) add(k K, v V) {
	if len(m.newer) >= m.size || m.newer == nil {
		m.older, m.newer = m.newer, map[K]V{}
	}
	m.newer[k] = v
}
