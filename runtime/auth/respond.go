package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// MaxLoginBody is how many bytes the body of a form may have.
const MaxLoginBody = 16 << 10

// visit is a request for one of the pages.
type visit struct {
	l      *Login
	w      *backend.Response
	r      *backend.Request
	secure bool
	fields []string // of the response
}

func (l *Login) visit(w *backend.Response, r *backend.Request) *visit {
	if !l.Fresh() {
		l.Refresh()
	}
	return &visit{l: l, w: w, r: r, secure: r.Peer.Scheme == "https"}
}

// Form is the responder (backend.Func) of FormPath: it shows the form, and logs in a user by a form that is filled in.
func (l *Login) Form(w *backend.Response, r *backend.Request) {
	v := l.visit(w, r)
	query, _ := url.ParseQuery(r.Query())
	switch {
	case len(r.Path) != r.Script:
		w.Refuse(404, "")
	case r.Method() == "GET" || r.Method() == "HEAD":
		next := query.Get("next")
		if s := l.Session(r.Head, r.Parsed.Fields, v.secure); s != nil && local(next) {
			v.redirect(next)
			return
		}
		v.form(200, content{next: next, out: query.Has("out")})
	case r.Method() == "POST":
		if values := v.values(); values != nil {
			v.enter(values)
		}
	default:
		v.other()
	}
}

// Out is the responder of OutPath: it ends the session of the client.
func (l *Login) Out(w *backend.Response, r *backend.Request) {
	v := l.visit(w, r)
	s := l.Session(r.Head, r.Parsed.Fields, v.secure)
	form := r.Path[:r.Root] + FormPath
	switch {
	case len(r.Path) != r.Script:
		w.Refuse(404, "")
	case r.Method() != "GET" && r.Method() != "HEAD" && r.Method() != "POST":
		v.other()
	case s == nil:
		v.redirect(form)
	case r.Method() != "POST":
		v.page(200, content{title: "Log out", user: s.User})
	default:
		values := v.values()
		if values == nil {
			return
		}
		if err := l.end(s, values.Has("all")); err != nil {
			l.o.Log("login: cannot log out: " + err.Error())
			v.page(500, content{title: "Log out", user: s.User, message: "The server could not note that this session has ended. Please try again."})
			return
		}
		l.tell(r, s.User+" has logged out")
		v.set(l.setSession("", v.secure))
		v.redirect(form + "?out")
	}
}

// end ends a session, or all of its user.
func (l *Login) end(s *Session, all bool) error {
	if all {
		return l.o.State.ended.endAll(s)
	}
	return l.o.State.ended.end(s)
}

// values returns the fields of a form that a page of this site has sent, or answers and returns nil.
func (v *visit) values() url.Values {
	if FromElsewhere(v.r.Head, v.r.Parsed.Fields, v.r.Host()) {
		v.w.Refuse(403, "this form was sent by a page of another site")
		return nil
	}
	kind, _, _ := strings.Cut(v.r.Field("Content-Type"), ";")
	if v.r.Size > 0 && !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		v.w.Refuse(415, "send the form as application/x-www-form-urlencoded")
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(v.r.Body(), MaxLoginBody))
	if err != nil {
		v.w.Refuse(400, "")
		return nil
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		v.w.Refuse(400, "the form cannot be read")
		return nil
	}
	return values
}

// enter logs in the user that a form names.
func (v *visit) enter(values url.Values) {
	l, name := v.l, strings.TrimSpace(values.Get("name"))
	again := content{next: values.Get("next"), name: name}
	if !v.known(values.Get("token")) {
		again.message = "The form had expired, or your browser refuses cookies. Please try again."
		v.form(400, again)
		return
	}
	if l.first.wanted() {
		if why := l.makeFirst(values, name); why != "" {
			l.tellFailure(v.r, "the first user was not made: "+why)
			again.message = why
			v.form(403, again)
			return
		}
		l.tell(v.r, name+" was made the first user")
	}
	switch v.check(name, values.Get("password")) {
	case Right:
		l.tell(v.r, name+" has logged in")
		v.set(l.setSession(l.token(l.newSession(name)), v.secure))
		next := again.next
		if !local(next) {
			next = v.r.Path[:v.r.Root] + "/"
		}
		v.redirect(next)
	case Wrong:
		if l.o.Users.Hash(name) == "" {
			name = "an unknown user" // it may be a password in the wrong field
		}
		l.tellFailure(v.r, "wrong password for "+name)
		again.message = "Wrong name or password."
		v.form(403, again)
	case Busy:
		again.message = "Too many logins are waiting. Please try again."
		v.fields = append(v.fields, "Retry-After: 2")
		v.form(503, again)
	}
}

// makeFirst makes the first user. It returns why it does not.
func (l *Login) makeFirst(values url.Values, name string) (why string) {
	switch {
	case !l.first.right(values.Get("code")):
		return "Wrong code. It is in the log of the server."
	case values.Get("password") != values.Get("again"):
		return "The two passwords differ."
	}
	err := AddFirst(l.o.Users.Path(), name, values.Get("password"))
	var wrong *InvalidError
	switch {
	case errors.As(err, &wrong):
		return strings.ToUpper(wrong.Error()[:1]) + wrong.Error()[1:] + "."
	case err != nil:
		l.o.Log("login: " + err.Error())
		return "The server could not write its file of users. Its log says why."
	}
	l.first.done()
	l.o.Users.Refresh()
	return ""
}

// check returns the verdict on a password, Unknown if the client has left. A connection has one check at a time: a browser sends
// one form, and a flood over HTTP/2 would fill all places otherwise.
func (v *visit) check(name, password string) Verdict {
	if len(name) > maxUser {
		return Wrong
	}
	if conn := v.r.Client(); v.r.Peer.Port != "" {
		if _, busy := v.l.checking.LoadOrStore(conn, true); busy {
			return Busy
		}
		defer v.l.checking.Delete(conn)
	}
	verdict := make(chan Verdict, 1)
	k := v.l.o.Users.Check(Origin{Addr: v.r.Peer.Addr, Conn: v.r.Client()}, name, password, func(found Verdict) { verdict <- found })
	select {
	case found := <-verdict:
		return found
	case <-v.r.Context.Done():
		k.Cancel()
		return Unknown
	}
}

// tell writes a line about the client.
func (l *Login) tell(r *backend.Request, line string) {
	if l.o.Event != nil {
		l.o.Event(r.Client(), "login: "+line)
	}
}

// tellFailure is tell for what a client can do as often as it likes.
func (l *Login) tellFailure(r *backend.Request, line string) {
	if l.failures.Now() {
		l.tell(r, line)
	}
}

// form answers with the form.
func (v *visit) form(status int, c content) {
	nonce := v.nonce()
	if nonce == "" {
		var random [16]byte
		rand.Read(random[:])
		nonce = base64.RawURLEncoding.EncodeToString(random[:])
		v.set(set(v.l.formCookie(v.secure), nonce, "Strict", v.secure))
	}
	c.token = v.l.formToken(nonce)
	if c.first = v.l.first.wanted(); c.first {
		v.l.first.announce()
	}
	v.page(status, c)
}

// nonceLen is the length of the base64 of 16 bytes.
const nonceLen = 22

// nonce returns the cookie of the form, "" without one.
func (v *visit) nonce() string {
	for value := range cookies(v.r.Head, v.r.Parsed.Fields, v.l.formCookie(v.secure), nonceLen) {
		if len(value) == nonceLen {
			return string(value)
		}
	}
	return ""
}

// known reports whether the form was made for this browser.
func (v *visit) known(token string) bool {
	nonce := v.nonce()
	return nonce != "" && hmac.Equal([]byte(token), []byte(v.l.formToken(nonce)))
}

// formToken returns the token of the form for a browser with the cookie nonce.
func (l *Login) formToken(nonce string) string {
	mac := hmac.New(sha256.New, l.form)
	mac.Write([]byte(nonce))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

func (v *visit) set(cookie string) { v.fields = append(v.fields, "Set-Cookie: "+cookie) }

func (v *visit) page(status int, c content) {
	v.fields = append(v.fields, "Content-Security-Policy: "+policy, "X-Frame-Options: DENY", "X-Content-Type-Options: nosniff", "Content-Type: text/html; charset=utf-8")
	v.answer(status, v.l.looks.page(&c))
}

func (v *visit) redirect(to string) {
	v.fields = append(v.fields, "Location: "+to)
	v.answer(303, "")
}

// other answers a method that the pages do not have.
func (v *visit) other() {
	v.fields = append(v.fields, "Allow: GET, HEAD, POST")
	v.answer(405, "")
}

// answer sends a response that no cache keeps. The pages name no other site, and "no-referrer" would hide the origin of
// their own forms.
func (v *visit) answer(status int, body string) {
	v.fields = append(v.fields, "Cache-Control: no-store", "Referrer-Policy: same-origin")
	v.w.Start(exchange.Head{Status: status, Fields: []byte(strings.Join(v.fields, "\r\n") + "\r\n"), Length: int64(len(body))})
	if v.r.Method() != "HEAD" {
		fmt.Fprint(v.w, body) // an error means that the client has left
	}
}

// first is the making of the first user, for a client that knows a code which only the log of the server shows. The code is
// in a file of the state directory, so that all processes have the same one, until there is a user.
type first struct {
	l *Login

	mu    sync.Mutex
	shown bool
}

// wanted reports whether there is no user yet. It does not block.
func (f *first) wanted() bool { return f.l.o.Users.Empty() }

// announce shows the code in the log, once for a run of the server.
func (f *first) announce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shown {
		return
	}
	f.shown = true
	code, news, err := f.code()
	switch {
	case err != nil:
		f.l.o.Log(fmt.Sprintf("login: no code for the first user: %v; make the user with: %s", err, f.command()))
	case news:
		f.l.o.Log(fmt.Sprintf("login: %s has no user yet; to make the first one, log in with the code %s, or type: %s", f.l.o.Users.Path(), code, f.command()))
	}
}

// command is what makes a user, typed in any directory.
func (f *first) command() string {
	path, err := filepath.Abs(f.l.o.Users.Path())
	if err != nil {
		path = f.l.o.Users.Path()
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.N) && !strings.ContainsRune("/._-", r) }) {
		path = "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return "fapws user add -f " + path
}

// right reports whether a client has typed the code, in any case and with or without hyphens.
func (f *first) right(typed string) bool {
	code, _, err := f.code()
	if err != nil {
		f.l.o.Log(fmt.Sprintf("login: no code for the first user: %v", err))
		return false
	}
	return subtle.ConstantTimeCompare([]byte(plainCode(typed)), []byte(plainCode(code))) == 1
}

func plainCode(s string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(s))
}

// done is called when there is a user: the code is worth nothing any more.
func (f *first) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = false
	err := f.l.o.State.codes(func(all map[string]code) bool {
		delete(all, f.account())
		return true
	})
	if err != nil {
		f.l.o.Log(fmt.Sprintf("login: the code for the first user can be used again if there is no user any more: %v", err))
	}
}

// account is the key of the code.
func (f *first) account() string { return fmt.Sprintf("%x", f.l.account("")) }

// code is a code for the first user of a file, and the run of the server that has shown it last.
type code struct{ Text, Run string }

// letters leaves out letters and digits that look alike.
var letters = base32.NewEncoding("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")

// newCode returns 60 bits.
func newCode() string {
	var random [10]byte
	rand.Read(random[:])
	text := letters.EncodeToString(random[:])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12]
}

// code returns the code, which is made if there is none, and whether this run of the server asks for it the first time.
func (f *first) code() (text string, news bool, err error) {
	err = f.l.o.State.codes(func(all map[string]code) bool {
		c := all[f.account()]
		news = c.Text == "" || c.Run != f.l.o.Run || f.l.o.Run == ""
		if c.Text == "" {
			c.Text = newCode()
		}
		c.Run, text = f.l.o.Run, c.Text
		all[f.account()] = c
		return news
	})
	return text, news, err
}

// codes lets change look at all codes, and writes them if it reports true.
func (s *LoginState) codes(change func(map[string]code) bool) error {
	path := filepath.Join(s.dir, CodeFile)
	return exclusively(s.dir, func() error {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		all := map[string]code{}
		_ = json.Unmarshal(text, &all) // a damaged file has no codes
		if !change(all) {
			return nil
		}
		text, _ = json.Marshal(all)
		return ReplaceFile(path, text)
	})
}
