package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// addresses is a list of places to listen on.
type addresses struct{ to *[]string }

func (v *addresses) fromText(s string) error {
	var list []string
	for _, one := range strings.Split(s, ",") {
		a, err := parseAddress(one)
		if err != nil {
			return err
		}
		if slices.Contains(list, a) && !strings.HasSuffix(a, ":0") {
			return fmt.Errorf("a list of different addresses: %s occurs twice", one)
		}
		list = append(list, a)
	}
	*v.to = list
	return nil
}

func (v *addresses) fromScript(x any) error {
	switch x := x.(type) {
	case string:
		return v.fromText(x)
	case []any:
		texts := make([]string, len(x))
		for i, one := range x {
			s, ok := one.(string)
			if !ok {
				return errNoAddress
			}
			texts[i] = s
		}
		return v.fromText(strings.Join(texts, ","))
	}
	return errNoAddress
}

func (v *addresses) String() string { return strings.Join(*v.to, ",") }

// host is the host part of an address.
type host struct{ to *string }

func (v *host) fromText(s string) error {
	h, err := parseHost(strings.TrimSpace(s))
	if err != nil {
		return err
	}
	*v.to = h
	return nil
}

func (v *host) fromScript(any) error { return errNoAddress }
func (v *host) String() string       { return *v.to }

// networks is a list of IP addresses and networks, "unix" and "*".
type networks struct{ to *[]string }

func (v *networks) fromText(s string) error {
	var list []string
	for _, one := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		if one != "*" && one != "unix" {
			if _, err := netip.ParsePrefix(one); err != nil {
				if _, err := netip.ParseAddr(one); err != nil {
					return fmt.Errorf("IP addresses, networks such as 10.0.0.0/8, unix or *, not %s", shorten(one))
				}
			}
		}
		list = append(list, one)
	}
	*v.to = list
	return nil
}

func (v *networks) fromScript(any) error { return errors.New("given as a flag") }
func (v *networks) String() string       { return strings.Join(*v.to, ",") }

// rootPath is a path that begins with a slash and does not end with one.
type rootPath struct{ to *string }

func (v *rootPath) fromText(s string) error {
	s = strings.TrimRight(s, "/")
	if s != "" && (s[0] != '/' || strings.ContainsAny(s, "?#\x00\r\n ")) {
		return errors.New("a path such as /app")
	}
	*v.to = s
	return nil
}

func (v *rootPath) fromScript(any) error { return errors.New("given as a flag") }
func (v *rootPath) String() string       { return *v.to }

// checkTarget is the target of a GET request: "/path", or "http://host/path" to set Host.
type checkTarget struct{ to *string }

func (v *checkTarget) fromText(s string) error {
	host, path := "localhost", s
	if rest, named := strings.CutPrefix(s, "http://"); named {
		slash := max(strings.IndexByte(rest, '/'), 0)
		host, path = rest[:slash], rest[slash:]
	}
	strange := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	if strange || host == "" || !strings.HasPrefix(path, "/") {
		return errors.New("a path such as /health, or http://host/health")
	}
	*v.to = s
	return nil
}

func (v *checkTarget) fromScript(any) error { return errors.New("given as a flag") }
func (v *checkTarget) String() string       { return *v.to }

// CertReqs are the values of Config.CertReqs, by the number that Python's module ssl gives them.
var CertReqs = []string{"none", "optional", "required"}

// TLSVersions are the values of Config.TLSMin.
var TLSVersions = []string{"1.2", "1.3"}

// TLSModes are the values of Config.TLS.
var TLSModes = []string{"off", "auto", "acme"}

// certReqs is one of CertReqs, or its number, or its name in Python: CERT_REQUIRED.
type certReqs struct{ to *string }

func (v *certReqs) fromText(s string) error {
	s = strings.ToLower(strings.TrimSpace(s))
	for i, word := range CertReqs {
		if s == word || s == strconv.Itoa(i) || s == "cert_"+word {
			*v.to = word
			return nil
		}
	}
	return errors.New("none, optional or required (0, 1 or 2)")
}

func (v *certReqs) fromScript(any) error { return errors.New("given as a flag") }
func (v *certReqs) String() string       { return *v.to }

// hostNames is a list of host names without patterns.
type hostNames struct{ texts }

func (v *hostNames) fromText(s string) error {
	return v.fromTexts(s, func(one string) error {
		if !hostName(one) || !strings.Contains(one, ".") {
			return fmt.Errorf("host names such as example.org, separated by commas; not %s", shorten(one))
		}
		return nil
	})
}

// httpsURL is a URL that begins with https://.
type httpsURL struct{ text }

func (v *httpsURL) fromText(s string) error {
	if rest, ok := strings.CutPrefix(s, "https://"); !ok || rest == "" || strings.ContainsAny(rest, " \x00") {
		return errors.New("a URL that begins with https://")
	}
	return v.text.fromText(s)
}

// httpsRedirect is yes, no or a port.
type httpsRedirect struct{ to *string }

func (v *httpsRedirect) fromText(s string) error {
	var on bool
	if n, err := strconv.Atoi(s); err == nil && n > 1 && n <= 65535 {
		*v.to = strconv.Itoa(n)
		return nil
	}
	if (&toggle{&on}).fromText(s) != nil {
		return errors.New("yes, no, or a port from 2 to 65535")
	}
	*v.to = (&toggle{&on}).String()
	return nil
}

func (v *httpsRedirect) fromScript(any) error { return errors.New("given as a flag") }
func (v *httpsRedirect) String() string       { return *v.to }
