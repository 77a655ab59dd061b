package login

import (
	"bytes"
	"iter"

	"fapws/runtime/http1"
)

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
