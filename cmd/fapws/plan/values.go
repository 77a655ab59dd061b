package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/http1"
)

// Size is a number of bytes: 1000 or "10M".
type Size int64

// FromFile implements settings.TableReader.
func (s *Size) FromFile(v settings.TOMLValue) error {
	n, ok := v.Any.(int64)
	if text, isText := v.Any.(string); isText {
		n, ok = settings.ParseSize(text)
	}
	if !ok || n < 1 || n > 1<<50 {
		return errors.New("a number of bytes above 0, or one with K, M or G")
	}
	*s = Size(n)
	return nil
}

// Duration is a time: 30, 1.5 (seconds) or "5m".
type Duration time.Duration

// FromFile implements settings.TableReader.
func (d *Duration) FromFile(v settings.TOMLValue) error {
	const longest = 366 * 24 * time.Hour
	t, ok := time.Duration(0), false
	switch x := v.Any.(type) {
	case int64:
		t, ok = settings.ParseDuration(strconv.FormatInt(x, 10))
	case float64:
		t, ok = settings.ParseDuration(strconv.FormatFloat(x, 'f', -1, 64))
	case string:
		t, ok = settings.ParseDuration(x)
	}
	if !ok || t > longest {
		return errors.New("seconds, or a time such as 500ms, 30s, 5m, 1h or 7d, up to a year")
	}
	*d = Duration(t)
	return nil
}

// Prefix is the beginning of a path.
type Prefix string

// FromFile implements settings.TableReader.
func (p *Prefix) FromFile(v settings.TOMLValue) error {
	s, ok := v.Any.(string)
	if !ok || !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?#\x00\r\n") {
		return errors.New(`a path that begins with a slash, such as "/static/"`)
	}
	if !http1.IsCanonicalPrefix(s) {
		return errors.New(`a path without empty and dot segments, such as "/static/"; requests are compared in this form`)
	}
	*p = Prefix(s)
	return nil
}

// Pattern is a pattern of file names, as path.Match has it.
type Pattern string

// FromFile implements settings.TableReader.
func (p *Pattern) FromFile(v settings.TOMLValue) error {
	s, ok := v.Any.(string)
	if _, err := path.Match(s, ""); !ok || s == "" || err != nil || strings.ContainsRune(s, '/') {
		return errors.New(`a pattern of file names, such as "*.php"`)
	}
	*p = Pattern(s)
	return nil
}

// Choice is one of the words that its key allows (choices).
type Choice string

// choices are the words of the keys that take a Choice.
var choices = map[string][]string{
	"unknown-host": {"default", "421"},
	"symlinks":     settings.SymlinkPolicies,
	"mode":         {"fastcgi", "cgi"}, // of php
	"cookies":      {"bypass", "ignore"},
	"client-cert":  {CertRequired, "optional", "unverified", CertNone},
}

// FromFile implements settings.TableReader.
func (c *Choice) FromFile(v settings.TOMLValue) error {
	s := fmt.Sprint(v.Any) // 421 is a number to some
	for _, word := range choices[v.Key] {
		if s == word {
			*c = Choice(s)
			return nil
		}
	}
	return errors.New("one of " + strings.Join(choices[v.Key], ", "))
}

// Pair is a key with a value, in the order of the file.
type Pair struct{ Name, Value string }

// Pairs is a table of strings: headers, types.
type Pairs []Pair

// FromFile implements settings.TableReader.
func (p *Pairs) FromFile(v settings.TOMLValue) error {
	t, ok := v.Any.(*settings.TOMLTable)
	if !ok {
		return errors.New(`a table of strings, such as { name = "value" }`)
	}
	for _, one := range t.Entries {
		s, ok := one.Any.(string)
		if !ok || strings.ContainsAny(s+one.Key, "\r\n\x00") {
			return one.Must(errors.New("a string of one line"))
		}
		*p = append(*p, Pair{one.Key, s})
	}
	return nil
}

// Get returns the value of a name, or "".
func (p Pairs) Get(name string) string {
	for _, one := range p {
		if one.Name == name {
			return one.Value
		}
	}
	return ""
}

// ErrorPages are pages by the status that they are for: a path below the root,
// or a URL.
type ErrorPages map[int]string

// FromFile implements settings.TableReader.
func (e *ErrorPages) FromFile(v settings.TOMLValue) error {
	var pairs Pairs
	if err := pairs.FromFile(v); err != nil {
		return err
	}
	*e = ErrorPages{}
	for _, p := range pairs {
		status, err := strconv.Atoi(p.Name)
		if err != nil || status < 400 || status > 599 {
			return fmt.Errorf("pages for statuses from 400 to 599, not %q", p.Name)
		}
		if !strings.HasPrefix(p.Value, "/") && !strings.HasPrefix(p.Value, "http://") && !strings.HasPrefix(p.Value, "https://") {
			return fmt.Errorf("paths that begin with a slash, or URLs, not %q", p.Value)
		}
		(*e)[status] = p.Value
	}
	return nil
}

// Networks are addresses of clients: "10.0.0.0/8", "::1", "all".
type Networks []netip.Prefix

// FromFile implements settings.TableReader.
func (n *Networks) FromFile(v settings.TOMLValue) error {
	list, err := v.Strings()
	if err != nil {
		return err
	}
	for _, one := range list {
		if one == "all" {
			*n = append(*n, netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
			continue
		}
		prefix, err := netip.ParsePrefix(one)
		if addr, bad := netip.ParseAddr(one); err != nil && bad == nil {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf(`addresses, networks such as "10.0.0.0/8", or "all", not %q`, one)
		}
		*n = append(*n, prefix.Masked())
	}
	return nil
}
