package settings

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/logfile"
)

// logFormat is a format of the access log.
type logFormat struct{ to *string }

func (v *logFormat) fromText(s string) error {
	if _, err := logfile.ParseFormat(s); err != nil {
		return fmt.Errorf("a format of the access log: %w", err)
	}
	*v.to = s
	return nil
}

func (v *logFormat) fromScript(x any) error {
	s, ok := x.(string)
	if !ok {
		return errors.New("a string")
	}
	return v.fromText(s)
}

func (v *logFormat) String() string { return *v.to }

// logRotate is when logs are rotated by time.
type logRotate struct{ to *string }

func (v *logRotate) fromText(s string) error {
	switch s {
	case "off", "hourly", "daily", "weekly":
		*v.to = s
		return nil
	}
	if d, ok := ParseDuration(s); !ok || d < time.Second || d > longest {
		return errors.New("off, hourly, daily, weekly, or a time such as 30m, 6h or 2d, from 1s to a year")
	}
	*v.to = s
	return nil
}

func (v *logRotate) fromScript(x any) error {
	switch x := x.(type) {
	case string:
		return v.fromText(x)
	case int64:
		return v.fromText(fmt.Sprint(x))
	}
	return v.fromText("")
}

func (v *logRotate) String() string { return *v.to }

// LogSchedule is LogRotate as package logfile has it.
func (c *Config) LogSchedule() logfile.Schedule {
	switch c.LogRotate {
	case "hourly":
		return logfile.Hourly
	case "daily":
		return logfile.Daily
	case "weekly":
		return logfile.Weekly
	}
	d, _ := ParseDuration(c.LogRotate) // "off" is none
	return logfile.Each(d)
}

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

// SandboxModes are the values of Config.Sandbox.
var SandboxModes = []string{"off", "on", "strict"}

// sandboxMode is one of SandboxModes, or yes or no.
type sandboxMode struct{ choice }

func (v *sandboxMode) fromText(s string) error {
	var on bool
	if (&toggle{&on}).fromText(s) != nil {
		return v.choice.fromText(s)
	}
	*v.to = SandboxModes[0]
	if on {
		*v.to = SandboxModes[1]
	}
	return nil
}

// ports is a list of ports, separated by commas.
type ports struct {
	to   *[]int
	unix *bool // the list may have the word "unix"; nil: it may not
}

func (v *ports) fromText(s string) error {
	var list []int
	unix, word := false, ""
	if v.unix != nil {
		word = " or unix,"
	}
	for one := range strings.SplitSeq(s, ",") {
		if v.unix != nil && strings.TrimSpace(one) == "unix" {
			unix = true
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(one))
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("ports from 1 to 65535,%s separated by commas; not %s", word, shorten(one))
		}
		list = append(list, n)
	}
	v.put(list, unix)
	return nil
}

func (v *ports) put(list []int, unix bool) {
	if *v.to = list; v.unix != nil {
		*v.unix = unix
	}
}

func (v *ports) fromScript(any) error { return errors.New("given as a flag") }

func (v *ports) String() string {
	var texts []string
	if v.unix != nil && *v.unix {
		texts = append(texts, "unix")
	}
	for _, n := range *v.to {
		texts = append(texts, strconv.Itoa(n))
	}
	return strings.Join(texts, ",")
}
