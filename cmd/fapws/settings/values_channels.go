package settings

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// brokerURL is the URL of a broker. Package broker reads it.
type brokerURL struct{ text }

var brokerScheme = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^((redis|valkey)s?(\+sentinel)?|unix)://[^\s\x00]+$`)
})

func (v *brokerURL) fromText(s string) error {
	if !brokerScheme().MatchString(s) {
		return errors.New("redis://HOST:PORT/DB, rediss:// for TLS, unix:///SOCKET, or redis+sentinel://HOST:PORT,HOST:PORT/NAME")
	}
	return v.text.fromText(s)
}

// String returns the URL without passwords.
func (v *brokerURL) String() string { return HidePassword(*v.to) }

// HidePassword replaces the passwords of a URL.
func HidePassword(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	rest, query, asks := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, _ := strings.Cut(rest[:at], ":")
		rest = user + ":xxxxx" + rest[at:]
	}
	text = scheme + "://" + rest
	if !asks {
		return text
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return text
	}
	for name := range values {
		if strings.Contains(name, "password") {
			values.Set(name, "xxxxx")
		}
	}
	return text + "?" + values.Encode()
}
