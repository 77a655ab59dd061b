// Package auth checks passwords of HTTP's Basic authentication (RFC 7617)
// against a file as Apache's htpasswd writes it.
//
// Good hashes are slow on purpose, so there are two ways: Known answers from
// memory, for the loop, and Verify computes.
package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options says who may log in.
type Options struct {
	Realm string // shown by browsers, "" is "restricted"
	Users string // path of the file with users and their hashes

	// Log gets a line when the file has changed and cannot be used; the users
	// known before stay. nil: nobody hears of it. Any goroutine.
	Log func(line string)
}

// Basic checks credentials. Any goroutine may call its methods.
type Basic struct {
	opt       Options
	challenge []byte
	secret    [32]byte

	users   atomic.Pointer[users]
	looking atomic.Bool  // somebody looks at the file
	looked  atomic.Int64 // when that was last done, in nanoseconds since started

	slots   chan struct{} // one element per password that is being computed
	waiting atomic.Int32

	mu    sync.Mutex
	known map[[32]byte]login // by keyed hash of the credentials
}

// login is who has shown a right password, and when.
type login struct {
	user string
	at   time.Duration // since started
	of   *users
}

const (
	rememberFor = time.Minute
	rememberMax = 1024        // logins
	lookEvery   = time.Second // at the file
	waitingMax  = 64          // passwords that wait to be computed
	maxFile     = 16 << 20    // bytes
	maxText     = 1 << 10     // bytes of credentials
)

var started = time.Now()

// ErrBusy is what Verify returns when too many passwords wait to be checked.
var ErrBusy = errors.New("too many passwords are being checked")

// New reads the file. The error, of one line, names the file and the line.
func New(o Options) (*Basic, error) {
	if o.Realm == "" {
		o.Realm = "restricted"
	}
	for _, c := range []byte(o.Realm) {
		if c < ' ' || c >= 0x7f {
			return nil, fmt.Errorf("the realm %q has a character that is not ASCII", o.Realm)
		}
	}
	realm := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(o.Realm)
	b := &Basic{
		opt:       o,
		challenge: []byte(`WWW-Authenticate: Basic realm="` + realm + `", charset="UTF-8"` + "\r\n"),
		slots:     make(chan struct{}, max(1, runtime.NumCPU()/2)),
		known:     map[[32]byte]login{},
	}
	rand.Read(b.secret[:])
	u, err := readUsers(o.Users)
	if err != nil {
		return nil, err
	}
	b.users.Store(u)
	b.looked.Store(int64(time.Since(started)))
	return b, nil
}

// Challenge returns the line of the field that a 401 has.
func (b *Basic) Challenge() []byte { return b.challenge }

// Known returns the user whom credentials (the value of an Authorization field)
// have been right for within the last minute. It never waits.
func (b *Basic) Known(credentials []byte) (user string, ok bool) {
	key := b.key(credentials)
	now := time.Since(started)
	if now-time.Duration(b.looked.Load()) > lookEvery && b.looking.CompareAndSwap(false, true) {
		go b.look()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.known[key]
	if !ok || now-l.at > rememberFor || l.of != b.users.Load() {
		return "", false
	}
	return l.user, true
}

// Verify says whether credentials are right, and whose. It may take a second.
// The error is ErrBusy.
func (b *Basic) Verify(credentials []byte) (user string, ok bool, err error) {
	user, password, ok := parse(credentials)
	if !ok {
		return "", false, nil
	}
	if b.waiting.Add(1) > waitingMax {
		b.waiting.Add(-1)
		return "", false, ErrBusy
	}
	b.slots <- struct{}{}
	defer func() {
		<-b.slots
		b.waiting.Add(-1)
	}()
	if b.looking.CompareAndSwap(false, true) {
		b.look()
	}
	u := b.users.Load()
	if !u.verify(user, password) {
		return "", false, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= rememberMax {
		clear(b.known)
	}
	b.known[b.key(credentials)] = login{user, time.Since(started), u}
	return user, true, nil
}

// key is what is remembered of credentials: who reads the memory learns no
// password.
func (b *Basic) key(credentials []byte) (k [32]byte) {
	h := hmac.New(sha256.New, b.secret[:])
	h.Write(credentials)
	h.Sum(k[:0])
	return k
}

// look reads the file again if it has changed.
func (b *Basic) look() {
	defer b.looking.Store(false)
	defer func() { b.looked.Store(int64(time.Since(started))) }()
	old := b.users.Load()
	info, err := os.Stat(b.opt.Users)
	if err == nil && stampOf(info) == old.stamp {
		return
	}
	u, err := readUsers(b.opt.Users)
	if err == nil {
		b.users.Store(u)
		return
	}
	if old.complaint != err.Error() {
		kept := *old
		kept.complaint = err.Error()
		b.users.Store(&kept)
		if b.opt.Log != nil {
			b.opt.Log(err.Error() + "; the users known before stay")
		}
	}
}

// User returns the user that credentials (the value of an Authorization field) name,
// whatever the password; "": none, or no Basic authentication.
func User(credentials []byte) string {
	user, _, _ := parse(credentials)
	return user
}

// parse takes credentials apart (RFC 7617 §2).
func parse(credentials []byte) (user, password string, ok bool) {
	if len(credentials) > maxText || len(credentials) < 6 || !bytes.EqualFold(credentials[:6], []byte("basic ")) {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(credentials[6:])))
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(text), ":")
	for _, c := range []byte(user) {
		if c < ' ' || c == 0x7f {
			return "", "", false
		}
	}
	return user, password, ok && user != ""
}
