package settings

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// statusPrefix is a path, or "off".
type statusPrefix struct {
	to      *string
	example string
}

func (v *statusPrefix) fromText(s string) error {
	if s == "off" || s == "" {
		*v.to = ""
		return nil
	}
	s = strings.TrimRight(s, "/")
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("?#%;", r) })
	if !strings.HasPrefix(s, "/") || !plain || path.Clean(s) != s {
		return fmt.Errorf("a path under /, such as %s, or off", v.example)
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
