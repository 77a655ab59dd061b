package auth

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/system"
)

type Session struct {
	User    string
	account loginAccount
	tokenHead
}

type sessionID [16]byte

type loginAccount [8]byte

// A token is the base64 encoding of a tokenHead, the user name, and a MAC of both. The key of the MAC depends on the
// hash of the user's password, so that a token becomes invalid if the user's password changes or the user is removed.
const (
	version  = 1
	headSize = 1 + 8 + 8 + 8 + 16
	maxUser  = 64
	maxToken = headSize + maxUser + sha256.Size

	minToken = (headSize + 1 + sha256.Size) * 8 / 6
)

type tokenHead struct {
	Version uint8
	// Order is the time of the login in microseconds since 1970. Order is increased if necessary, so that no line
	// "ACCOUNT ORDER *" in the list of ended sessions includes the session.
	Order int64
	Start int64 // time of the login, in seconds since 1970
	Seen  int64 // time when the cookie was created, in seconds since 1970
	ID    sessionID
}

var encoding = base64.RawURLEncoding.Strict()

// newSession does not take Order from the clock alone. If the clock was set back, for example on a device without a
// battery, a line "ACCOUNT ORDER *" in the list of ended sessions would otherwise include the new session.
func (l *Login) newSession(user string) *Session {
	now := l.now()
	s := &Session{user, l.account(user), tokenHead{Version: version, Start: now.Unix(), Seen: now.Unix()}}
	s.Order = max(now.UnixMicro(), l.o.State.ended.Value().upTo[s.account]+1)
	rand.Read(s.ID[:])
	return s
}

func (l *Login) token(s *Session) string {
	b, _ := binary.Append(nil, binary.BigEndian, s.tokenHead) // Append cannot fail, because tokenHead has a fixed size
	b = append(b, s.User...)
	return encoding.EncodeToString(l.seal(b, s.User))
}

func (l *Login) seal(b []byte, user string) []byte {
	of := hmac.New(sha256.New, l.key)
	of.Write([]byte(user))
	of.Write([]byte{0})
	of.Write([]byte(l.o.Users.Hash(user)))
	var key [sha256.Size]byte
	mac := hmac.New(sha256.New, of.Sum(key[:0]))
	mac.Write(b)
	return mac.Sum(b)
}

// open returns the session of a token, or nil if the token is invalid or has expired.
func (l *Login) open(token []byte) *Session {
	one, ok := l.verified.get(string(token))
	if !ok || l.o.Users.Hash(one.session.User) != one.hash {
		s := l.verify(token)
		if s == nil {
			return nil
		}
		one = verifiedToken{s, l.o.Users.Hash(s.User)}
		l.verified.add(string(token), one)
	}
	if l.expired(one.session) || l.o.State.ended.has(one.session) {
		return nil
	}
	return one.session
}

// verify returns the session of a token, or nil if this server has not signed the token.
func (l *Login) verify(token []byte) *Session {
	var buf, sealed [maxToken]byte
	if len(token) > encoding.EncodedLen(maxToken) {
		return nil
	}
	n, err := encoding.Decode(buf[:], token)
	end := n - sha256.Size
	if err != nil || end <= headSize || buf[0] != version {
		return nil
	}
	user := string(buf[headSize:end])
	if l.o.Users.Hash(user) == "" || !hmac.Equal(l.seal(append(sealed[:0], buf[:end]...), user)[end:], buf[end:n]) {
		return nil
	}
	found := &Session{User: user, account: l.account(user)}
	_, _ = binary.Decode(buf[:], binary.BigEndian, &found.tokenHead)
	return found
}

// fromFuture limits how far in the future the time of a token may be. The time of a token can be in the future if the
// clock was set back.
const fromFuture = 5 * time.Minute

func (l *Login) expired(s *Session) bool {
	now := l.now()
	start, seen := time.Unix(s.Start, 0), time.Unix(s.Seen, 0)
	return now.Sub(start) > l.o.Age || now.Sub(seen) > l.o.Idle || start.Sub(now) > fromFuture ||
		seen.Sub(now) > fromFuture
}

func (l *Login) account(user string) loginAccount {
	sum := sha256.Sum256([]byte(l.o.Users.Path() + "\x00" + user))
	return loginAccount(sum[:8])
}

// maxCookies limits how many cookies with the same name are checked, because each check computes a MAC. A page of
// another host in the same domain can set cookies with the same name, and the browser may send such cookies first.
const maxCookies = 64

// cookieName returns the name of the session cookie, or of the form's cookie if suffix is "-form". Browsers accept a
// cookie whose name has the prefix __Host- only from this host and only over HTTPS (RFC 6265bis §4.1.3.2).
func (l *Login) cookieName(suffix string, secure bool) string {
	if secure {
		return "__Host-" + l.cookie + suffix
	}
	return l.cookie + suffix
}

// setSession returns the value of a Set-Cookie field with a token. Browsers keep the cookie until they exit. If the
// token is empty, browsers remove the cookie at once.
func (l *Login) setSession(token string, secure bool) string {
	return set(l.cookieName("", secure), token, "Lax", secure)
}

func set(name, value, sameSite string, secure bool) string {
	s := name + "=" + value + "; Path=/; HttpOnly; SameSite=" + sameSite
	if secure {
		s += "; Secure"
	}
	if value == "" {
		s += "; Max-Age=0"
	}
	return s
}

// cookies returns the values of all cookies with a name in a request (RFC 6265 §4.2.1), but at most maxCookies values.
// It skips values that are too short (least).
func cookies(head []byte, fields []http1.Field, name string, least int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		found := 0
		for list := range http1.Values(head, fields, "cookie") {
			for one := range bytes.SplitSeq(list, []byte(";")) {
				key, value, _ := bytes.Cut(bytes.TrimLeft(one, " "), []byte("="))
				if string(key) != name || len(value) < least {
					continue
				}
				if found++; found > maxCookies || !yield(value) {
					return
				}
			}
		}
	}
}

// ended is the list of sessions that were ended early, in a file that all processes share. Each line is "ACCOUNT
// ORDER ID" for one session, or "ACCOUNT ORDER *" for all sessions of an account up to ORDER (tokenHead.Order).
//
// To keep the file small, only the latest ended sessions of an account have their own lines. One line with "*" replaces
// the lines of all older and expired sessions of the account.
type ended struct {
	system.Watched[endedSet]
	age time.Duration

	// unsaved contains the sessions that could not be written to the file, for example because the disk is full. nil
	// means none. It is replaced, never changed, under saving.
	unsaved atomic.Pointer[endedSet]
	saving  sync.Mutex
	retries bool // save will be called again; guarded by saving
}

// saveAgain is the time between two attempts to write ended sessions to the file.
const saveAgain = 10 * time.Second

type endedSet struct {
	ids  map[sessionID]endedSession
	upTo map[loginAccount]int64
}

type endedSession struct {
	account loginAccount
	id      sessionID
	order   int64
}

const keptOfEach = 100

// has reports, without blocking, whether the session s was ended.
func (e *ended) has(s *Session) bool {
	unsaved := e.unsaved.Load()
	return e.Value().has(s) || unsaved != nil && unsaved.has(s)
}

func (set *endedSet) has(s *Session) bool {
	if _, ended := set.ids[s.ID]; ended {
		return true
	}
	upTo, some := set.upTo[s.account]
	return some && s.Order <= upTo
}

func parseEnded(text []byte) *endedSet {
	set := newEndedSet()
	for line := range strings.Lines(string(text)) {
		var account, id []byte
		var order int64
		n, _ := fmt.Sscanf(line, "%x %d %x\n", &account, &order, &id)
		switch {
		case len(account) != len(loginAccount{}):
		case n == 2 && strings.HasSuffix(line, " *\n"):
			set.upTo[loginAccount(account)] = max(set.upTo[loginAccount(account)], order)
		case n == 3 && len(id) == len(sessionID{}):
			set.ids[sessionID(id)] = endedSession{loginAccount(account), sessionID(id), order}
		}
	}
	return set
}

// end ends a session or, if everywhere is set, all current sessions of its account. This process rejects these sessions
// from now on. When end returns nil, every process does. Otherwise the error is from the file, and end tries again
// later.
func (l *Login) end(s *Session, everywhere bool) error {
	e := &l.o.State.ended
	e.saving.Lock()
	defer e.saving.Unlock()
	set := newEndedSet()
	set.add(e.unsaved.Load())
	if everywhere {
		set.upTo[s.account] = max(set.upTo[s.account], s.Order, l.now().UnixMicro())
	} else {
		set.ids[s.ID] = endedSession{s.account, s.ID, s.Order}
	}
	e.unsaved.Store(set)
	return l.save()
}

// save writes the unsaved sessions to the file. The caller must hold ended.saving.
func (l *Login) save() error {
	e := &l.o.State.ended
	unsaved := e.unsaved.Load()
	err := change(e.Path, func(text []byte) ([]byte, error) {
		set := parseEnded(text)
		set.add(unsaved)
		return set.text(l.now().Add(-e.age).UnixMicro()), nil
	})
	if err == nil {
		err = e.Read()
	}
	if err == nil {
		e.unsaved.Store(nil)
	} else if !e.retries {
		e.retries = true
		time.AfterFunc(saveAgain, func() {
			e.saving.Lock()
			defer e.saving.Unlock()
			if e.retries = false; e.unsaved.Load() != nil {
				_ = l.save() // the first error was logged
			}
		})
	}
	return err
}

func newEndedSet() *endedSet {
	return &endedSet{ids: map[sessionID]endedSession{}, upTo: map[loginAccount]int64{}}
}

// add adds the sessions of other, which may be nil.
func (set *endedSet) add(other *endedSet) {
	if other == nil {
		return
	}
	maps.Copy(set.ids, other.ids)
	for account, order := range other.upTo {
		set.upTo[account] = max(set.upTo[account], order)
	}
}

// text returns the lines of the file without expired sessions. A session has expired if its order is less than oldest.
func (s *endedSet) text(oldest int64) []byte {
	latestFirst := func(a, b endedSession) int { return cmp.Compare(b.order, a.order) }
	kept := map[loginAccount]int{}
	var out bytes.Buffer
	for _, one := range slices.SortedFunc(maps.Values(s.ids), latestFirst) {
		if kept[one.account]++; kept[one.account] > keptOfEach || one.order < oldest {
			s.upTo[one.account] = max(s.upTo[one.account], one.order)
		} else {
			fmt.Fprintf(&out, "%x %d %x\n", one.account, one.order, one.id)
		}
	}
	// Keep the line with "*" of each account regardless of its age, because the system clock may be wrong.
	for of, order := range s.upTo {
		fmt.Fprintf(&out, "%x %d *\n", of, order)
	}
	return out.Bytes()
}
