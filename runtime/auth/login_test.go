package auth

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

type place struct {
	dir, users string
	clock      *clock
}

func newPlace(t testing.TB) place {
	dir := t.TempDir()
	p := place{filepath.Join(dir, "state"), filepath.Join(dir, "users"), &clock{time.Unix(1_800_000_000, 0)}}
	p.write(t, "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
	return p
}

func (p place) write(t testing.TB, text string) {
	t.Helper()
	checktest.Must(t, os.WriteFile(p.users+".new", []byte(text), 0o600))
	checktest.Must(t, os.Rename(p.users+".new", p.users))
}

func (p place) open(t testing.TB) *Login {
	t.Helper()
	users := checktest.Try(NewUsers(NewChecker(), p.users, true, nil)).Must(t)
	state, err := OpenLoginState(p.dir, time.Hour, nil)
	checktest.Must(t, err)
	t.Cleanup(state.Close)
	l := NewLogin(LoginOptions{Users: users, State: state, Idle: 8 * time.Minute, Age: time.Hour,
		Log: func(line string) { t.Log(line) }})
	l.now = p.clock.now
	return l
}

func (l *Login) user(token string) string {
	if !l.Fresh() {
		l.Refresh()
	}
	if s := l.open([]byte(token)); s != nil {
		return s.User
	}
	return ""
}

// is checks whose session a token identifies; user is "" if the token must be invalid.
func (l *Login) is(t testing.TB, token, user, what string) {
	t.Helper()
	checktest.Equalf(t, l.user(token), user, "%s: the session", what)
}

func TestSessionsStayValidIfTheDirectoryIsRemoved(t *testing.T) {
	p := newPlace(t)
	l := p.open(t)
	lines := 0
	l.o.Log = func(string) { lines++ }
	token := l.token(l.newSession("ann"))
	checktest.Must(t, os.RemoveAll(p.dir))
	for range 3 {
		l.is(t, token, "ann", "without the directory")
	}
	checktest.Equalf(t, lines, 1, "lines")
}

func TestSessionIsKnownToOtherProcessesAndCannotBeForged(t *testing.T) {
	p := newPlace(t)
	l, other := p.open(t), p.open(t)
	token := l.token(l.newSession("ann"))
	l.is(t, token, "ann", "this process")
	other.is(t, token, "ann", "another process")
	for i := range token {
		forged := []byte(token)
		if forged[i]++; forged[i] > 'z' {
			forged[i] = '-'
		}
		l.is(t, string(forged), "", "a changed byte")
	}
	for _, forged := range []string{"", "a", token[:len(token)-1], token + "A", token + "=", strings.Repeat("A", 1000),
		newPlace(t).open(t).token(l.newSession("ann"))} {
		l.is(t, forged, "", forged)
	}
	for _, test := range []struct {
		after time.Duration
		user  string
	}{{7 * time.Minute, "ann"}, {9 * time.Minute, ""}, {-4 * time.Minute, "ann"}, {-6 * time.Minute, ""}} {
		start := p.clock.Time
		p.clock.Time = start.Add(test.after)
		l.is(t, token, test.user, "after "+test.after.String())
		p.clock.Time = start
	}
	// Each request extends the session, up to its maximum duration.
	used := 0
	for range 20 {
		p.clock.Time = p.clock.Add(5 * time.Minute)
		s := l.open([]byte(token))
		if s == nil {
			break
		}
		used++
		if cookie := l.Renew(s, false); cookie == "" {
			t.Error("the cookie is not made again")
		} else {
			token, _, _ = strings.Cut(strings.TrimPrefix(cookie, l.cookie+"="), ";")
		}
		checktest.Equalf(t, l.Renew(l.open([]byte(token)), false), "", "each request gets another cookie")
	}
	checktest.Equalf(t, used, 12, "uses in an hour")
}

// Running and new processes reject ended sessions, and sessions of users who were removed or have a new password.
func TestEndedSessionsAreRejectedByEveryProcess(t *testing.T) {
	p := newPlace(t)
	l, other := p.open(t), p.open(t)
	one, two, bob := l.newSession("ann"), l.newSession("ann"), l.newSession("bob")
	tokens := []string{l.token(one), l.token(two), l.token(bob)}
	users := func(l *Login) string { return l.user(tokens[0]) + " " + l.user(tokens[1]) + " " + l.user(tokens[2]) }
	check := func(want string) {
		t.Helper()
		for name, l := range map[string]*Login{"this one": l, "another one": other, "a new one": p.open(t)} {
			checktest.Equalf(t, users(l), want, "%s", name)
		}
	}
	check("ann ann bob")
	checktest.Must(t, l.end(one, false))
	check(" ann bob")
	// Append an incomplete line, as after a power failure.
	f := checktest.Try(os.OpenFile(filepath.Join(p.dir, EndedFile), os.O_APPEND|os.O_WRONLY, 0)).Must(t)
	f.WriteString("0123456789abcdef 12")
	f.Close()
	checktest.Must(t, other.end(two, true))
	check("  bob")
	l.is(t, l.token(l.newSession("ann")), "ann", "a new session")
	p.write(t, "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
	check("  ")
	tokens[1] = l.token(l.newSession("ann"))
	check(" ann ")
	p.write(t, "")
	check("  ")
}

// On a full disk, a logout ends the session in this process, and in all processes when it can be stored later.
func TestSessionEndsAlthoughItsEndCannotBeStored(t *testing.T) {
	p := newPlace(t)
	l, other := p.open(t), p.open(t)
	one, two := l.newSession("ann"), l.newSession("bob")
	checktest.Must(t, os.Rename(p.dir, p.dir+".away"))
	checktest.Must(t, os.WriteFile(p.dir, nil, 0o600))
	checktest.Truef(t, l.end(one, false) != nil, "the end was stored in a missing directory")
	l.is(t, l.token(one), "", "the ended session")
	l.is(t, l.token(two), "bob", "another session")
	checktest.Must(t, os.Remove(p.dir))
	checktest.Must(t, os.Rename(p.dir+".away", p.dir))
	checktest.Must(t, l.end(two, true))
	for name, l := range map[string]*Login{"this one": l, "another one": other, "a new one": p.open(t)} {
		l.is(t, l.token(one), "", "the first session in "+name)
		l.is(t, l.token(two), "", "the second session in "+name)
	}
}

func TestEndedSessionsStayInvalidIfTheClockIsSetBack(t *testing.T) {
	p := newPlace(t)
	l := p.open(t)
	before := l.newSession("ann")
	checktest.Must(t, l.end(before, true))
	p.clock.Time = time.Unix(1000, 0)
	now := l.newSession("ann")
	l.is(t, l.token(now), "ann", "a new session")
	p.clock.Time = p.clock.Add(9 * time.Minute)
	l.is(t, l.token(now), "", "an idle session")
	now = l.newSession("ann")
	checktest.Must(t, l.end(now, true))
	l.is(t, l.token(now), "", "an ended session")
	l.is(t, l.token(before), "", "a session that ended before")
	p.clock.Time = time.Unix(1_800_000_000, 0)
	l.is(t, l.token(before), "", "an ended session, when the clock is right")
}

// A client that logs in and out repeatedly does not end the sessions of other accounts.
func TestFileOfEndedSessionsStaysSmall(t *testing.T) {
	p := newPlace(t)
	l := p.open(t)
	bob, first := l.newSession("bob"), l.newSession("ann")
	checktest.Must(t, l.end(bob, false))
	var last *Session
	largest := int64(0)
	for range 200 {
		p.clock.Time = p.clock.Add(time.Millisecond)
		last = l.newSession("ann")
		checktest.Must(t, l.end(last, false))
		largest = max(largest, checktest.Try(os.Stat(filepath.Join(p.dir, EndedFile))).Must(t).Size())
	}
	checktest.Truef(t, largest <= (keptOfEach+2)*70, "%d bytes", largest)
	for name, s := range map[string]*Session{"the last one": last, "an old one": first, "bob's": bob} {
		l.is(t, l.token(s), "", name)
	}
	l.is(t, l.token(l.newSession("bob")), "bob", "a new session")
}

func TestLoginRedirectsOnlyToLocalTargets(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/a?b=c&d=%2F": true, "/a//b": true, "/%09/x": true,
		"": false, "a": false, "//evil.test": false, "/\\evil.test": false, "\\/evil.test": false,
		"https://evil.test": false,
		"/\t/evil.test":     false, "/\n/evil.test": false, " /a": false, "/a\x00": false, "/é": false,
		"javascript:alert(1)":                false,
		"/" + strings.Repeat("a", maxTarget): false,
	} {
		checktest.Equalf(t, local(target), want, "%q", target)
	}
	got, want := loginLocation("/site", "/site/a?b=c&d"),
		"/site/_fapws/login?next=%2Fsite%2Fa%3Fb%3Dc%26d"
	checktest.Equal(t, got, want)
}

func request(t testing.TB, fields string) (head []byte, r http1.Request) {
	t.Helper()
	head = []byte("GET / HTTP/1.1\r\nHost: nas:8080\r\n" + fields + "\r\n")
	checktest.Try(r.Parse(head, &http1.DefaultLimits)).Must(t)
	return head, r
}

func TestRequestsFromOtherSitesAreDetected(t *testing.T) {
	for fields, want := range map[string]bool{
		"":                                 false,
		"Origin: http://nas:8080\r\n":      false,
		"origin: http://NAS:8080\r\n":      false,
		"Origin: http://nas:9000\r\n":      true,
		"Origin: http://nas\r\n":           true,
		"Origin: null\r\n":                 true,
		"Origin: http://evil.test\r\n":     true,
		"Origin: http://nas:8080.evil\r\n": true,
		"Sec-Fetch-Site: same-origin\r\n":  false,
		"Sec-Fetch-Site: none\r\n":         false,
		"Sec-Fetch-Site: same-site\r\n":    true,
		"Sec-Fetch-Site: cross-site\r\nOrigin: http://nas:8080\r\n": true,
	} {
		head, r := request(t, fields)
		checktest.Equalf(t, FromElsewhere(head, r.Fields, "nas:8080"), want, "%q", fields)
	}
	head, r := request(t, "Origin: https://nas\r\n")
	checktest.Truef(t, !FromElsewhere(head, r.Fields, "nas:443"), "the usual port is another one")
}

func TestSessionCookiesAreFound(t *testing.T) {
	for fields, want := range map[string]string{
		"":                                      "",
		"Cookie: a=1\r\n":                       "1",
		"Cookie: b=2; a=1; a=3\r\n":             "1 3",
		"cookie: a=1\r\nCOOKIE: x=a=9; a=2\r\n": "1 2",
		"Cookie: aa=1;a =2;  a=3=4\r\n":         "3=4",
		"Cookie: a=1;a=;a=2\r\n":                "1 2",
		"Cookie: " + strings.Repeat("a=1;", 70) + "\r\n": strings.Repeat("1 ", maxCookies-1) + "1",
	} {
		head, r := request(t, fields)
		var all []string
		for value := range cookies(head, r.Fields, "a", 1) {
			all = append(all, string(value))
		}
		checktest.Equalf(t, strings.Join(all, " "), want, "%q", fields)
	}
}

// If the key is damaged, the server starts with a new key, and reports this once.
func TestDamagedKeyIsReplacedAndKept(t *testing.T) {
	good := strings.Repeat("ab", 32)
	for _, text := range []string{"", good[:17], good[:60], good + good, strings.Repeat("\x00", 65), "not a key\n"} {
		p := newPlace(t)
		p.open(t)
		key := filepath.Join(p.dir, KeyFile)
		checktest.Must(t, os.WriteFile(key, []byte(text), 0o600))
		var lines []string
		var keys [][]byte
		for range 2 {
			s, err := OpenLoginState(p.dir, time.Hour, func(line string) { lines = append(lines, line) })
			checktest.Mustf(t, err, "%q", text)
			keys = append(keys, s.key)
			s.Close()
		}
		checktest.Truef(t, len(keys[0]) == 32 && bytes.Equal(keys[0], keys[1]), "%q: the keys are %x", text, keys)
		aside := filepath.Join(p.dir, AsideFile)
		kept, err := os.ReadFile(aside)
		checktest.Truef(t, err == nil && string(kept) == text, "%q: kept %q, %v", text, kept, err)
		checktest.Truef(t, len(lines) == 1 && strings.Contains(lines[0], key) && strings.Contains(lines[0], aside),
			"%q: %q", text, lines)
	}
}

func TestErrorsInTheStateDirectoryAreReportedInOneLine(t *testing.T) {
	p := newPlace(t)
	p.open(t)
	key := filepath.Join(p.dir, KeyFile)
	checktest.Must(t, os.Chmod(key, 0o644))
	_, err := OpenLoginState(p.dir, time.Hour, nil)
	checktest.Truef(t, err != nil && !strings.Contains(err.Error(), "\n") &&
		strings.Contains(err.Error(), "others may read the file key"), "%v", err)
	checktest.Must(t, os.Remove(key))
	checktest.Must(t, os.Symlink(p.users, key))
	_, err = OpenLoginState(p.dir, time.Hour, nil)
	checktest.Truef(t, errors.Is(err, unix.ELOOP), "a link in the place of the key: %v", err)
	_, err = OpenLoginState(filepath.Join(p.users, "state"), time.Hour, nil)
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "--state-dir"), "%v", err)
}
