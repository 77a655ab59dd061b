package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

const MaxLoginBody = 16 << 10 // maximum size of a submitted form, in bytes

type visit struct {
	l      *Login
	w      *backend.ResponseWriter
	r      *backend.Request
	secure bool
	// session of the client, or nil
	session *Session
}

// visit begins the response to a request for the page of a responder. If the request is for another page or has another
// method, visit refuses the request and returns nil.
func (l *Login) visit(w *backend.ResponseWriter, r *backend.Request) *visit {
	if !l.Fresh() {
		l.Refresh()
	}
	v := &visit{l: l, w: w, r: r, secure: r.Peer.HTTPS}
	switch method := r.Method(); {
	case len(r.Path) != r.Script:
		w.Refuse(404, "")
		return nil
	case method != "GET" && method != "HEAD" && method != "POST":
		w.Add("Allow: GET, HEAD, POST\r\n")
		v.answer(405, "")
		return nil
	}
	v.session = l.Session(r.Head, r.Parsed.Fields, v.secure)
	return v
}

// Form, the responder (backend.Func) of FormPath, shows the form and processes submitted forms.
func (l *Login) Form(w *backend.ResponseWriter, r *backend.Request) {
	v := l.visit(w, r)
	query, _ := url.ParseQuery(r.Query())
	next := query.Get("next")
	switch {
	case v == nil:
	case r.Method() == "POST":
		if values := v.values(); values != nil {
			v.enter(values)
		}
	case v.session != nil && local(next):
		v.redirect(next)
	default:
		c := content{next: next, out: query.Has("out")}
		if query.Has("unstored") {
			c.message = "You are logged out in this browser. The server could not store this, so a copy of the session may " +
				"still work elsewhere until it expires."
		}
		v.form(200, c)
	}
}

// Out is the responder of OutPath, and ends the client's session.
func (l *Login) Out(w *backend.ResponseWriter, r *backend.Request) {
	v := l.visit(w, r)
	form := r.Path[:r.Root] + FormPath
	switch {
	case v == nil:
	case v.session == nil:
		v.redirect(form)
	case r.Method() != "POST":
		v.page(200, content{title: "Log out", user: v.session.User})
	default:
		values := v.values()
		if values == nil {
			return
		}
		err := l.end(v.session, values.Has("all"))
		l.tell(r, v.session.User+" has logged out")
		v.set(l.setSession("", v.secure))
		if err != nil {
			l.o.Log("login: a session has ended, but other processes and a restarted server still accept it, because this " +
				"cannot be stored: " + err.Error())
			v.redirect(form + "?unstored")
			return
		}
		v.redirect(form + "?out")
	}
}

// values returns the values of a form that was submitted from a page of this site, or sends an error response and
// returns nil.
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

func (v *visit) enter(values url.Values) {
	l, name := v.l, strings.TrimSpace(values.Get("name"))
	again := content{next: values.Get("next"), name: name}
	if !v.known(values.Get("token")) {
		again.message = "The form had expired, or your browser refuses cookies. Please try again."
		v.form(400, again)
		return
	}
	if l.o.Users.Empty() {
		if why := l.makeFirst(values, name); why != "" {
			l.tellFailure(v.r, "the first user was not made: "+why)
			again.message = why
			if l.isFirstCode(values.Get("code")) {
				again.code = values.Get("code")
			}
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
			name = "an unknown user" // the user may have typed a password in the wrong field
		}
		l.tellFailure(v.r, "wrong password for "+name)
		again.message = "Wrong name or password."
		v.form(403, again)
	case Busy:
		again.message = "Too many logins are waiting. Please try again."
		v.w.Add("Retry-After: 2\r\n")
		v.form(503, again)
	}
}

func (l *Login) isFirstCode(code string) bool {
	return same(plainCode(code), plainCode(l.firstCode()))
}

func (l *Login) makeFirst(values url.Values, name string) (reason string) {
	switch {
	case !l.isFirstCode(values.Get("code")):
		return "Wrong code."
	case values.Get("password") != values.Get("again"):
		return "The two passwords differ."
	}
	err := addFirst(l.o.Users.Path(), name, values.Get("password"))
	if wrong, ok := errors.AsType[*InvalidError](err); ok {
		return strings.ToUpper(wrong.text[:1]) + wrong.text[1:] + "."
	}
	if err != nil {
		l.o.Log("login: " + err.Error())
		return "The server could not write its file of users. Its log says why."
	}
	l.o.Users.Refresh()
	return ""
}

// check returns the verdict on a password, or Unknown if the client has disconnected. Each connection can have only one
// check at a time. Otherwise a flood of requests on one HTTP/2 connection could fill the queue of checks. This does not
// affect browsers, which submit one form at a time.
func (v *visit) check(name, password string) Verdict {
	if len(name) > maxUser || len(password) > maxText { // reject long passwords, because SHA-crypt is slow for them
		return Wrong
	}
	if conn := v.r.Peer.String(); v.r.Peer.Port != "" {
		if _, busy := v.l.checking.LoadOrStore(conn, true); busy {
			return Busy
		}
		defer v.l.checking.Delete(conn)
	}
	verdict := make(chan Verdict, 1)
	k := v.l.o.Users.Check(Origin{Addr: v.r.Peer.Addr, Conn: v.r.Peer.String()}, name, password, func(found Verdict) {
		verdict <- found
	})
	select {
	case found := <-verdict:
		return found
	case <-v.r.Context.Done():
		k.Cancel()
		return Unknown
	}
}

func (l *Login) tell(r *backend.Request, line string) {
	l.o.Event(r.Client(), "login: "+line)
}

// tellFailure logs that a client has failed to log in. The rate of these lines is limited, because clients can cause
// any number of failures.
func (l *Login) tellFailure(r *backend.Request, line string) {
	if l.failures.Now() {
		l.tell(r, line)
	}
}

func (v *visit) form(status int, c content) {
	nonce := v.nonce()
	if nonce == "" {
		nonce = rand.Text()
		v.set(set(v.l.cookieName("-form", v.secure), nonce, "Strict", v.secure))
	}
	c.token = v.l.formToken(nonce)
	if c.first = v.l.o.Users.Empty(); c.first && v.l.o.ByCommand {
		c.first, c.message = false, "No user exists yet. The log of the server says how to make the first one."
	}
	v.l.Announce()
	v.page(status, c)
}

const nonceLen = 26

func (v *visit) nonce() string {
	for value := range cookies(v.r.Head, v.r.Parsed.Fields, v.l.cookieName("-form", v.secure), nonceLen) {
		if len(value) == nonceLen {
			return string(value)
		}
	}
	return ""
}

func (v *visit) known(token string) bool {
	nonce := v.nonce()
	return nonce != "" && hmac.Equal([]byte(token), []byte(v.l.formToken(nonce)))
}

func (l *Login) formToken(nonce string) string {
	mac := hmac.New(sha256.New, l.form)
	mac.Write([]byte(nonce))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

func (v *visit) set(cookie string) { v.w.Add("Set-Cookie: " + cookie + "\r\n") }

func (v *visit) page(status int, c content) {
	v.w.Add("Content-Security-Policy: " + policy + "\r\nX-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\n" +
		"Content-Type: text/html; charset=utf-8\r\n")
	v.answer(status, v.l.page(&c))
}

func (v *visit) redirect(to string) {
	v.w.Add("Location: " + to + "\r\n")
	v.answer(303, "")
}

// answer sends a response that must not be cached. The referrer policy is "same-origin", because with "no-referrer"
// browsers would not send the Origin of a submitted form.
func (v *visit) answer(status int, body string) {
	v.w.Add("Cache-Control: no-store\r\nReferrer-Policy: same-origin\r\n")
	v.w.Start(exchange.Head{Status: status, Length: int64(len(body))})
	if v.r.Method() != "HEAD" {
		// Ignore the error, because it only says that the client has disconnected.
		fmt.Fprint(v.w, body)
	}
}

// Announce logs how to create the first user if the file of users is empty. The first user must enter a code that only
// the log contains. All processes in a run of the server have the same code. A file in the state directory names the
// last run that logged its code.
func (l *Login) Announce() {
	if !l.o.Users.Empty() || l.announced.Swap(true) {
		return
	}
	news := true
	err := change(filepath.Join(l.o.State.dir, CodeFile), func(text []byte) ([]byte, error) {
		runs, of := map[string]string{}, fmt.Sprintf("%x", l.account(""))
		// Ignore the error, so that a damaged file is treated like an empty file.
		_ = json.Unmarshal(text, &runs)
		if news = runs[of] != l.o.Run; !news {
			return nil, nil
		}
		runs[of] = l.o.Run
		return json.Marshal(runs)
	})
	if news || err != nil {
		way := "log in with the code " + l.firstCode() + ", or type"
		if l.o.ByCommand {
			way = "type"
		}
		l.o.Log(fmt.Sprintf("login: %s has no user yet; to make the first one, %s: %s", l.o.Users.Path(), way,
			AddCommand(l.o.Users.Path())))
	}
}

// AddCommand returns a command that adds a user to the file with an absolute path.
func AddCommand(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.N) && !strings.ContainsRune("/._-", r)
	}) {
		path = "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return "fapws user add -f " + path
}

// letters encodes the code for the first user. The alphabet contains no letters and digits that look alike.
var letters = base32.NewEncoding("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")

func (l *Login) firstCode() string {
	text := letters.EncodeToString(l.o.State.derive("first user of " + l.o.Users.Path() + " in the run " + l.o.Run))
	return text[:4] + "-" + text[4:8] + "-" + text[8:12]
}

// plainCode normalizes a code before it is compared, so that case, spaces and hyphens are ignored.
func plainCode(s string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(s))
}
