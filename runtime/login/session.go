package login

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"time"

	"fapws/runtime/http1"
)

// Session is the session of a user, as its cookie says.
type Session struct {
	User string

	account account

	id    sessionID
	order int64 // microseconds since 1970 when the user has logged in, or more: later than all sessions of the user that were ended
	start int64 // when the user has logged in, seconds since 1970
	seen  int64 // when the cookie was made, seconds since 1970
}

type sessionID [16]byte

// account is a hash of a user of a file, for the list of ended sessions.
type account [8]byte

// parseAccount reads an account in hexadecimal digits.
func parseAccount(text []byte) (of account, ok bool) {
	if len(text) != hex.EncodedLen(len(of)) {
		return of, false
	}
	_, err := hex.Decode(of[:], text)
	return of, err == nil
}

// A token is the base64 of version, order, start, seen, id, user and a MAC of all that. The key of the MAC depends on the hash of
// the user's password: with another password, or without the user, the token is worth nothing.
const (
	version   = 1
	tokenHead = 1 + 8 + 8 + 8 + 16
	maxUser   = 64
	maxToken  = tokenHead + maxUser + sha256.Size

	minToken = (tokenHead + 1 + sha256.Size) * 8 / 6 // characters
)

var encoding = base64.RawURLEncoding.Strict()

// newSession returns a session that begins now. A clock that was set back, as that of a device without a battery, may show a time before
// the end of earlier sessions: so their order does not depend on it.
func (l *Login) newSession(user string) *Session {
	now := l.now()
	s := &Session{User: user, account: l.account(user), start: now.Unix(), seen: now.Unix()}
	s.order = max(now.UnixMicro(), l.state.ended.after(s.account))
	rand.Read(s.id[:])
	return s
}

// token returns the text of a session.
func (l *Login) token(s *Session) string {
	b := make([]byte, 0, maxToken)
	b = append(b, version)
	b = binary.BigEndian.AppendUint64(b, uint64(s.order))
	b = binary.BigEndian.AppendUint64(b, uint64(s.start))
	b = binary.BigEndian.AppendUint64(b, uint64(s.seen))
	b = append(append(b, s.id[:]...), s.User...)
	return encoding.EncodeToString(l.seal(b, s.User))
}

// seal appends the MAC of b.
func (l *Login) seal(b []byte, user string) []byte {
	of := hmac.New(sha256.New, l.key)
	of.Write([]byte(user))
	of.Write([]byte{0})
	of.Write([]byte(l.users.Hash(user)))
	var key [sha256.Size]byte
	mac := hmac.New(sha256.New, of.Sum(key[:0]))
	mac.Write(b)
	return mac.Sum(b)
}

// open returns the session of a token, nil if the token is not valid, or no longer.
func (l *Login) open(token []byte) *Session {
	s := l.verified.find(token, l)
	if s == nil {
		if s = l.verify(token); s == nil {
			return nil
		}
		l.verified.add(string(token), &verifiedToken{s, l.users.Hash(s.User)})
	}
	if l.expired(s) || l.state.ended.has(s) {
		return nil
	}
	return s
}

// verify returns the session of a token that this server has made, nil for any other.
func (l *Login) verify(token []byte) *Session {
	var buf, sealed [maxToken]byte
	if len(token) > encoding.EncodedLen(maxToken) {
		return nil
	}
	n, err := encoding.Decode(buf[:], token)
	end := n - sha256.Size
	if err != nil || end <= tokenHead || buf[0] != version {
		return nil
	}
	user := string(buf[tokenHead:end])
	if l.users.Hash(user) == "" || !hmac.Equal(l.seal(append(sealed[:0], buf[:end]...), user)[end:], buf[end:n]) {
		return nil
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64(buf[at:])) }
	return &Session{User: user, account: l.account(user), order: number(1), start: number(9), seen: number(17), id: sessionID(buf[25:tokenHead])}
}

// fromFuture is by how much a token may be newer than the clock, which may have been set back.
const fromFuture = 5 * time.Minute

// expired reports whether a session is too old, or was idle for too long.
func (l *Login) expired(s *Session) bool {
	now := l.now()
	start, seen := time.Unix(s.start, 0), time.Unix(s.seen, 0)
	return now.Sub(start) > l.age || now.Sub(seen) > l.idle || start.Sub(now) > fromFuture || seen.Sub(now) > fromFuture
}

// renewed returns the session with a later time, if its cookie is to be made again; else nil. So a session is idle after at
// least 7/8 of the time for that.
func (l *Login) renewed(s *Session) *Session {
	now := l.now()
	if now.Sub(time.Unix(s.seen, 0)) <= l.idle/8 {
		return nil
	}
	later := *s
	later.seen = now.Unix()
	return &later
}

// account returns the name of a user in the list of ended sessions.
func (l *Login) account(user string) account { return accountOf(l.users.Path(), user) }

func accountOf(users, user string) account {
	sum := sha256.Sum256([]byte(users + "\x00" + user))
	return account(sum[:8])
}

// maxCookies bounds how many cookies of one name are checked: each check is a MAC. A page of another host of the same domain can have browsers
// send more cookies of that name than this server has set, and send them first.
const maxCookies = 64

// sessionCookie and formCookie return names. The prefix __Host- has browsers take the cookie from this host alone, and
// over HTTPS alone (RFC 6265bis §4.1.3.2).
func (l *Login) sessionCookie(secure bool) string { return prefixed(l.cookie, secure) }
func (l *Login) formCookie(secure bool) string    { return prefixed(l.cookie+"-form", secure) }

func prefixed(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

// setSession returns the value of Set-Cookie with a token; "": it removes the cookie. The browser keeps it until it ends.
func (l *Login) setSession(token string, secure bool) string {
	return set(l.sessionCookie(secure), token, "Lax", secure)
}

// setForm is the same for the cookie of the form.
func (l *Login) setForm(nonce string, secure bool) string {
	return set(l.formCookie(secure), nonce, "Strict", secure)
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

// cookies are the values of the cookies of a name in a request (RFC 6265 §4.2.1), without those shorter than least bytes, and up to
// maxCookies.
func cookies(head []byte, fields []http1.Field, name string, least int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		found := 0
		for _, f := range fields {
			if f.Name.Len != 6 || !bytes.EqualFold(f.Name.In(head), []byte("cookie")) {
				continue
			}
			for rest := f.Value.In(head); len(rest) > 0; {
				var one []byte
				one, rest, _ = bytes.Cut(rest, []byte(";"))
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
