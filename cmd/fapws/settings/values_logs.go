package settings

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/logfile"
)

// logFormat is a format of the access log.
func logFormat(to *string) *value {
	v := of(to, isText, func(text string) (string, error) {
		if _, err := logfile.ParseFormat(text); err != nil {
			return "", fmt.Errorf("a format of the access log: %w", err)
		}
		return text, nil
	}, itself)
	v.script, v.words = "a string", logfile.FormatNames
	return v
}

// logRotate is when logs are rotated by time.
func logRotate(to *string) *value {
	words := []string{"off", "hourly", "daily", "weekly"}
	v := of(to, isText, func(text string) (string, error) {
		if d, ok := ParseDuration(text); !slices.Contains(words, text) && (!ok || d < time.Second || d > longest) {
			return "", errors.New("off, hourly, daily, weekly, or a time such as 30m, 6h or 2d, from 1s to a year")
		}
		return text, nil
	}, itself)
	v.words, v.number = words, func(n int64) string { return strconv.FormatInt(n, 10) }
	return v
}

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
func statusPrefix(to *string, example string) *value {
	return of(to, isText, func(text string) (string, error) {
		if text == "off" || text == "" {
			return "", nil
		}
		text = strings.TrimRight(text, "/")
		plain := !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("?#%;", r) })
		if !strings.HasPrefix(text, "/") || !plain || path.Clean(text) != text {
			return "", fmt.Errorf("a path under /, such as %s, or off", example)
		}
		return text, nil
	}, func(prefix string) string { return cmp.Or(prefix, "off") })
}

// SandboxModes are the values of Config.Sandbox.
var SandboxModes = []string{"off", "on", "strict"}

// sandboxMode is one of SandboxModes, or yes or no.
func sandboxMode(to *string) *value {
	v := of(to, isText|isBool, func(text string) (string, error) {
		on, err := onOff(text)
		switch {
		case err != nil:
			return oneOf(SandboxModes)(text)
		case on:
			return SandboxModes[1], nil
		}
		return SandboxModes[0], nil
	}, itself)
	v.words = SandboxModes
	return v
}

// ports is a list of ports, separated by commas. The list may have the word "unix", unless that is nil.
func ports(to *[]int, unix *bool) *value {
	v := of(to, isText|isNumber|isList, func(text string) (all []int, err error) {
		sockets, word := false, ""
		if unix != nil {
			word = " or unix,"
		}
		for one := range strings.SplitSeq(text, ",") {
			if unix != nil && strings.TrimSpace(one) == "unix" {
				sockets = true
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(one))
			if err != nil || n < 1 || n > 65535 {
				return nil, fmt.Errorf("ports from 1 to 65535,%s separated by commas; not %s", word, shorten(one))
			}
			all = append(all, n)
		}
		if unix != nil {
			*unix = sockets
		}
		return all, nil
	}, func(all []int) string {
		var texts []string
		if unix != nil && *unix {
			texts = append(texts, "unix")
		}
		for _, n := range all {
			texts = append(texts, strconv.Itoa(n))
		}
		return strings.Join(texts, ",")
	})
	v.arg, v.file = "PORTS", "a port or an array of ports"
	v.empty = func() {
		if *to = nil; unix != nil {
			*unix = false
		}
	}
	return v
}
