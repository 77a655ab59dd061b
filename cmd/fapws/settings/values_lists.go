package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"fapws/runtime/http1"
)

// toggle is on or off; as a flag it stands alone.
type toggle struct{ to *bool }

func (v *toggle) fromText(s string) error {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "yes", "true", "on", "1":
		*v.to = true
	case "no", "false", "off", "0":
		*v.to = false
	default:
		return errors.New("yes or no")
	}
	return nil
}

func (v *toggle) fromScript(x any) error {
	on, ok := x.(bool)
	if !ok {
		return errors.New("either True or False")
	}
	*v.to = on
	return nil
}

func (v *toggle) String() string {
	if *v.to {
		return "yes"
	}
	return "no"
}

// choice is one of a few words.
type choice struct {
	to *string
	of []string
}

func (v *choice) fromText(s string) error {
	s = strings.ToLower(strings.TrimSpace(s))
	if !slices.Contains(v.of, s) {
		return errors.New("one of " + strings.Join(v.of, ", "))
	}
	*v.to = s
	return nil
}

func (v *choice) fromScript(x any) error {
	s, _ := x.(string)
	return v.fromText(s)
}

func (v *choice) String() string { return *v.to }

// texts is a list of names, separated by commas.
type texts struct{ to *[]string }

func (v *texts) fromText(s string) error {
	return v.fromTexts(s, func(string) error { return nil })
}

// fromTexts takes a list only if check takes each text of it.
func (v *texts) fromTexts(s string, check func(one string) error) error {
	var list []string
	for one := range strings.SplitSeq(s, ",") {
		one = strings.TrimSpace(one)
		if one == "" || strings.ContainsRune(one, 0) {
			return errors.New("names separated by commas, none of them empty")
		}
		if err := check(one); err != nil {
			return err
		}
		list = append(list, one)
	}
	*v.to = list
	return nil
}

func (v *texts) fromScript(x any) error {
	s, err := joined(x)
	if err != nil {
		return err
	}
	return v.fromText(s)
}

func (v *texts) String() string { return strings.Join(*v.to, ",") }

// joined makes one text of a string or a list of them.
func joined(x any) (string, error) {
	switch x := x.(type) {
	case string:
		return x, nil
	case []any:
		list := make([]string, len(x))
		for i := range x {
			s, ok := x[i].(string)
			if !ok {
				return "", errors.New("a string or a list of strings")
			}
			list[i] = s
		}
		return strings.Join(list, ","), nil
	}
	return "", errors.New("a string or a list of strings")
}

// mappings is a list of prefix=folder.
type mappings struct{ to *[]string }

func (v *mappings) fromText(s string) error {
	list := texts{v.to}
	return list.fromTexts(s, func(one string) error {
		prefix, folder, ok := strings.Cut(one, "=")
		if !ok || !strings.HasPrefix(prefix, "/") || !http1.IsCanonicalPrefix(prefix) || folder == "" {
			return fmt.Errorf("PREFIX=DIR, such as /private/=/srv/files; not %s", shorten(one))
		}
		return nil
	})
}

func (v *mappings) fromScript(x any) error {
	s, err := joined(x)
	if err != nil {
		return err
	}
	return v.fromText(s)
}

func (v *mappings) String() string { return strings.Join(*v.to, ",") }

// octal is a file mode, or -1 without one.
type octal struct{ to *int }

func (v *octal) fromText(s string) error {
	if s = strings.TrimSpace(s); s == "none" {
		*v.to = -1
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return errors.New("an octal number from 0 to 777")
	}
	*v.to = int(n)
	return nil
}

func (v *octal) fromScript(any) error { return errors.New("given as a flag") }

func (v *octal) String() string {
	if *v.to < 0 {
		return "none"
	}
	return fmt.Sprintf("%03o", *v.to)
}

// SymlinkPolicies are the values of Config.Symlinks.
var SymlinkPolicies = []string{"inside", "owner", "no"}

// expiries is a list of pattern=time; package static reads them.
type expiries struct{ to *[]string }

func (v *expiries) fromText(s string) error {
	list := texts{v.to}
	return list.fromTexts(s, func(one string) error {
		if pattern, age, _ := strings.Cut(one, "="); pattern == "" || age == "" {
			return fmt.Errorf("a pattern, =, and a time, such as *.css=30d or *=no-cache; not %s", shorten(one))
		}
		return nil
	})
}

func (v *expiries) fromScript(any) error { return errors.New("given as a flag") }
func (v *expiries) String() string       { return strings.Join(*v.to, ",") }

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
