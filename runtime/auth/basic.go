package auth

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// Basic is HTTP's Basic authentication (RFC 7617) with the passwords of Users. Its methods
// are safe for concurrent use.
type Basic struct {
	users     *Users
	challenge []byte
}

// maxText is how many bytes credentials may have.
const maxText = 1 << 10

// NewBasic returns a Basic for a realm, which browsers show; "" is "restricted". The error is
// one line.
func NewBasic(realm string, users *Users) (*Basic, error) {
	if realm == "" {
		realm = "restricted"
	}
	for _, c := range []byte(realm) {
		if c < ' ' || c >= 0x7f {
			return nil, fmt.Errorf("the realm %q has a character that is not ASCII", realm)
		}
	}
	realm = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm)
	return &Basic{users, []byte(`WWW-Authenticate: Basic realm="` + realm + `", charset="UTF-8"` + "\r\n")}, nil
}

// Challenge returns the line of the field that a 401 has.
func (b *Basic) Challenge() []byte { return b.challenge }

// Fresh is Users.Fresh.
func (b *Basic) Fresh() bool { return b.users.Fresh() }

// Refresh is Users.Look.
func (b *Basic) Refresh() { b.users.Look() }

// Known returns the remembered verdict on credentials, the value of an Authorization field, and their user if they
// are right. It does not block.
func (b *Basic) Known(credentials []byte) (user string, v Verdict) {
	var buf [maxText]byte
	pair, ok := decode(buf[:], credentials)
	if !ok {
		return "", Wrong
	}
	if v = b.users.Known(pair); v == Right {
		name, _, _ := bytes.Cut(pair, []byte(":"))
		user = string(name)
	}
	return user, v
}

// Check is Users.Check for the credentials of a client.
func (b *Basic) Check(from Origin, credentials []byte, done func(user string, v Verdict)) *Check {
	user, password, _ := parse(credentials)
	return b.users.Check(from, user, password, func(v Verdict) {
		if v != Right {
			done("", v)
			return
		}
		done(user, v)
	})
}

// User returns the user that credentials (the value of an Authorization field) name,
// whatever the password; "": none, or no Basic authentication.
func User(credentials []byte) string {
	user, _, _ := parse(credentials)
	return user
}

func parse(credentials []byte) (user, password string, ok bool) {
	var buf [maxText]byte
	pair, ok := decode(buf[:], credentials)
	user, password, _ = strings.Cut(string(pair), ":")
	return user, password, ok
}

// decode returns "user:password" of credentials (RFC 7617 §2), in buf.
func decode(buf, credentials []byte) (pair []byte, ok bool) {
	if len(credentials) > maxText || len(credentials) < 6 || !bytes.EqualFold(credentials[:6], []byte("basic ")) {
		return nil, false
	}
	n, err := base64.StdEncoding.Decode(buf, bytes.TrimSpace(credentials[6:]))
	colon := bytes.IndexByte(buf[:n], ':')
	if err != nil || colon <= 0 {
		return nil, false
	}
	for _, c := range buf[:colon] {
		if c < ' ' || c == 0x7f {
			return nil, false
		}
	}
	return buf[:n], true
}
