package auth

import (
	"cmp"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Login authenticates the users of a site with a form and cookies, and is safe for concurrent use.
type Login struct {
	o   LoginOptions
	now func() time.Time

	key    []byte
	form   []byte
	cookie string

	announced atomic.Bool

	// verified caches sessions by token, because verifying a token takes about as long as serving a small response
	verified recent[string, verifiedToken]

	// connections for which a password from the form is being checked
	checking sync.Map
	failures logfile.Seldom
}

type LoginOptions struct {
	Users *Users
	State *LoginState

	Idle time.Duration
	Age  time.Duration

	Title string
	// data URL of an image above the heading, such as "data:image/png;base64,..."; empty for none
	Logo string

	// ByCommand is set if the form cannot write the file of users, so that the first user must be created with a
	// command.
	ByCommand bool

	// identifies this run of the server; the same in all processes of the server
	Run   string
	Log   func(line string)         // logs how the operator creates the first user
	Event func(client, line string) // logs that a user has logged in or out, or failed to log in
}

const (
	FormPath = "/_fapws/login"
	OutPath  = "/_fapws/logout"
)

func NewLogin(o LoginOptions) *Login {
	path := o.Users.Path()
	return &Login{
		o:        o,
		now:      time.Now,
		key:      o.State.derive("sessions of " + path),
		form:     o.State.derive("forms of " + path),
		cookie:   "fapws-" + hex.EncodeToString(o.State.derive("name of the cookie of " + path)[:4]),
		verified: recent[string, verifiedToken]{size: maxVerified},
	}
}

// Fresh reports, without blocking, whether the files of users and of ended sessions are unchanged. If they have
// changed, Refresh must be called before Session.
func (l *Login) Fresh() bool { return l.o.Users.Fresh() && l.o.State.ended.Fresh() }

func (l *Login) Refresh() {
	l.o.Users.Refresh()
	if err := l.o.State.ended.Refresh(); err != nil {
		l.o.Log("sessions that ended: " + err.Error())
	}
}

// Session returns the session of a request, or nil if the request has no valid session. secure is true if the request
// arrived over HTTPS. Session does not block.
func (l *Login) Session(head []byte, fields []http1.Field, secure bool) *Session {
	for token := range cookies(head, fields, l.cookieName("", secure), minToken) {
		if s := l.open(token); s != nil {
			return s
		}
	}
	return nil
}

// Renew returns the value of a Set-Cookie field that updates the session's time of last use, or "" if this is not
// necessary yet. An update is necessary after 1/8 of Idle, so that a session expires after at least 7/8 of Idle without
// requests.
func (l *Login) Renew(s *Session, secure bool) string {
	now := l.now()
	if now.Sub(time.Unix(s.Seen, 0)) <= l.o.Idle/8 {
		return ""
	}
	later := *s
	later.Seen = now.Unix()
	return l.setSession(l.token(&later), secure)
}

// loginLocation returns the URL path of the form. root is the path prefix under which clients see the site.
func loginLocation(root, target string) string {
	to := root + FormPath
	if local(target) {
		to += "?next=" + url.QueryEscape(target)
	}
	return to
}

// Browsers do not know the authentication scheme Cookie, so they do not show a password dialog.
const loginChallenge = `WWW-Authenticate: Cookie realm="login"` + "\r\n"

// local reports whether every browser interprets target as a path on this site. Browsers interpret "//host" and
// "/\host" as URLs of other sites, and ignore control characters.
func local(target string) bool {
	if len(target) > maxTarget || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return false
	}
	return !strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' })
}

const maxTarget = 2048

// FromElsewhere reports whether a page of another origin caused a browser to send the request, according to the field
// Sec-Fetch-Site or, if this field is missing, Origin.
func FromElsewhere(head []byte, fields []http1.Field, host string) bool {
	if site, _ := http1.First(head, fields, "sec-fetch-site"); len(site) > 0 {
		return string(site) != "same-origin" && string(site) != "none"
	}
	origin, _ := http1.First(head, fields, "origin")
	if len(origin) == 0 {
		return false
	}
	u, err := url.Parse(string(origin))
	if err != nil || u.Host == "" {
		return true
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return !strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(host, port))
}

// LoginState is a directory with data that must outlive a process: the key that signs cookies, and the list of sessions
// that were ended early. All processes of a server share the directory. LoginState is safe for concurrent use.
type LoginState struct {
	dir   string
	key   []byte
	ended ended
}

// Names of files. Only the server's user may read these files.
const (
	KeyFile   = "key"
	EndedFile = "ended"
	AsideFile = "key.damaged"
	// CodeFile contains, for each file of users, the run of the server that last logged a code for the first user (see
	// Login.Announce).
	CodeFile = "first"
)

// OpenLoginState opens a directory. Missing files are created, with access only for the current user; age is the
// maximum duration of a session. warn is called if the key was damaged and therefore replaced.
func OpenLoginState(dir string, age time.Duration, warn func(line string)) (*LoginState, error) {
	s := &LoginState{dir: dir, ended: ended{age: age}}
	s.ended.Path, s.ended.Flags = filepath.Join(dir, EndedFile), os.O_CREATE|unix.O_NOFOLLOW
	s.ended.Parse = func(text []byte) (*endedSet, error) { return parseEnded(text), nil }
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = exclusively(dir, func() error {
			path := filepath.Join(dir, KeyFile)
			s.key, err = readKey(path)
			if err == errDamaged {
				aside := filepath.Join(dir, AsideFile)
				if err = os.Rename(path, aside); err != nil {
					return err
				}
				warn(fmt.Sprintf("the key of sessions, %s, was damaged, perhaps by a loss of power: all users must "+
					"log in again; "+
					"there is a new key, and the old file is kept as %s", path, aside))
				err = fs.ErrNotExist
			}
			if errors.Is(err, fs.ErrNotExist) {
				s.key, err = makeKey(path)
			}
			return err
		})
	}
	if err == nil {
		err = s.ended.Refresh()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep sessions in %s: %w; it must be writable and have room, or name another "+
			"directory with --state-dir", dir, system.Cause(err))
	}
	return s, nil
}

func (s *LoginState) Close() { s.ended.Close() }

var errDamaged = errors.New("the file is damaged")

// readKey reads the key that signs cookies, or returns errDamaged if the file does not contain a key.
func readKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read the file key: remove it, which ends all sessions")
	}
	text, err := io.ReadAll(io.LimitReader(f, 4*sha256.Size))
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != sha256.Size {
		return nil, errDamaged
	}
	return key, nil
}

func makeKey(path string) ([]byte, error) {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	return key, replaceFile(path, []byte(hex.EncodeToString(key)+"\n"))
}

// derive derives a key for the given purpose from the key of the directory (RFC 5869).
func (s *LoginState) derive(purpose string) []byte {
	out, err := hkdf.Expand(sha256.New, s.key, "fapws login: "+purpose, sha256.Size)
	if err != nil {
		// Expand fails only if the requested key is longer than 255 hashes.
		panic(err)
	}
	return out
}

// exclusively calls f while it holds the lock of the directory, so that only one process at a time runs its f.
func exclusively(dir string, f func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := system.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return &fs.PathError{Op: "lock", Path: dir, Err: err}
	}
	return f()
}

// A verifiedToken is a session whose MAC was checked. The session is valid while the hash of the user's password equals
// the field hash.
type verifiedToken struct {
	session *Session
	hash    string
}

const maxVerified = 256

// formStyle is a style sheet for the form. Input fields have a font size of 16 px, because browsers on telephones zoom
// in on fields with smaller text.
//
//go:embed login.css
var formStyle string

var style = http1.Style + formStyle

// policy is a Content-Security-Policy that permits only the style sheet, images with data URLs, and the form.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

type content struct {
	title   string
	message string
	token   string
	next    string // path to which the browser is redirected after the login
	name    string
	first   bool
	code    string // code that the user has entered, if it is right; otherwise empty
	// user who is logged in and may log out; empty if the page is for logging in
	user string
	out  bool
}

func (l *Login) page(c *content) string {
	var b strings.Builder
	title := cmp.Or(c.title, l.o.Title, "Log in")
	fmt.Fprintf(&b,
		`<!doctype html><html lang="en"><head><meta charset="utf-8">`+
			`<meta name="viewport" content="width=device-width,initial-scale=1">`+
			`<title>%s</title><style>%s</style></head><body><main class="card">`, text(title), style)
	if l.o.Logo != "" {
		fmt.Fprintf(&b, `<img src="%s" alt="">`, text(l.o.Logo))
	}
	fmt.Fprintf(&b, `<h1>%s</h1>`, text(title))
	if c.message != "" {
		fmt.Fprintf(&b, `<p class="bad" role="alert">%s</p>`, text(c.message))
	}
	if c.out {
		b.WriteString(`<p>You are logged out.</p>`)
	}
	if c.user != "" {
		fmt.Fprintf(&b, `<p>You are logged in as %s.</p><form method="post"><button>Log out</button></form>`+
			`<form method="post"><input type="hidden" name="all" value="1">`+
			`<button>Log out on all devices</button></form>`, text(c.user))
	} else {
		c.form(&b)
	}
	b.WriteString("</main></body></html>\n")
	return b.String()
}

func (c *content) form(b *strings.Builder) {
	fmt.Fprintf(b,
		`<form method="post"><input type="hidden" name="token" value="%s"><input type="hidden" name="next" value="%s">`,
		text(c.token), text(c.next))
	button, secret := "Log in", "current-password"
	if c.first {
		b.WriteString(
			`<p class="dim">No user exists yet. This form creates the first user. ` +
				`The code is in the log of the server: in its terminal, in the file of error-log, or in the journal ` +
				`(journalctl, logread). The password needs at least 8 characters.</p>` +
				`<label>Code<input name="code" value="` + text(c.code) +
				`" required autocomplete="off" autocapitalize="characters" spellcheck="false"></label>`)
		button, secret = "Create the user", "new-password"
	}
	fmt.Fprintf(b,
		`<label>Name<input name="name" value="%s" required maxlength="%d" `+
			`autocomplete="username" autocapitalize="none" spellcheck="false"></label>`, text(c.name), maxUser)
	fmt.Fprintf(b, `<label>Password<input name="password" type="password" required autocomplete="%s"></label>`, secret)
	if c.first {
		b.WriteString(
			`<label>Password again<input name="again" type="password" required autocomplete="new-password"></label>`)
	}
	fmt.Fprintf(b, `<button>%s</button></form>`, button)
}

func text(s string) string { return html.EscapeString(strings.ToValidUTF8(s, "\uFFFD")) }
