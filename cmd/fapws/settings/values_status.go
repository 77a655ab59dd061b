package settings

import (
	"errors"
	"path"
	"strings"
)

// statusPrefix is a path, or "off".
type statusPrefix struct{ to *string }

func (v *statusPrefix) fromText(s string) error {
	if s == "off" || s == "" {
		*v.to = ""
		return nil
	}
	s = strings.TrimRight(s, "/")
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("?#%;", r) })
	if !strings.HasPrefix(s, "/") || !plain || path.Clean(s) != s {
		return errors.New("a path such as /_fapws, or off")
	}
	*v.to = s
	return nil
}

func (v *statusPrefix) fromScript(any) error { return errors.New("given as a flag") }

func (v *statusPrefix) String() string {
	if *v.to == "" {
		return "off"
	}
	return *v.to
}
