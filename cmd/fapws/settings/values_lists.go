package settings

import (
	"errors"
	"fmt"
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
