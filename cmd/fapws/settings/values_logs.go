package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fapws/runtime/logfile"
)

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

var schedules = map[string]logfile.Schedule{"off": {}, "hourly": logfile.Hourly, "daily": logfile.Daily,
	"weekly": logfile.Weekly}

func logRotate(to *string) *value {
	v := of(to, isText|isNumber, func(text string) (string, error) {
		_, named := schedules[text]
		if d, ok := ParseDuration(text); !named && (!ok || d < time.Second || d > longest) {
			return "", errors.New("off, hourly, daily, weekly, or a time such as 30m, 6h or 2d, from 1s to a year")
		}
		return text, nil
	}, itself)
	v.words = slices.Sorted(maps.Keys(schedules))
	return v
}

func (c *Config) LogSchedule() logfile.Schedule {
	if named, ok := schedules[c.LogRotate]; ok {
		return named
	}
	d, _ := ParseDuration(c.LogRotate)
	return logfile.Each(d)
}

func statusPrefix(to *string, example string) *value {
	return of(to, isText, func(text string) (string, error) {
		if text == "off" || text == "" {
			return "", nil
		}
		text = strings.TrimRight(text, "/")
		plain := !strings.ContainsFunc(text, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune("?#%;", r)
		})
		if !strings.HasPrefix(text, "/") || !plain || path.Clean(text) != text {
			return "", fmt.Errorf("a path under /, such as %s, or off", example)
		}
		return text, nil
	}, func(prefix string) string { return cmp.Or(prefix, "off") })
}

// processName is the kind of value for the name of a process (PR_SET_NAME).
var processName = like("at most 15 bytes without control characters", func(name string) bool {
	return len(name) <= 15 && !strings.ContainsFunc(name, unicode.IsControl)
})

// ports returns the kind of value for a list of ports. If unix is not "", this word is also allowed, and is stored as
// 0.
func ports(to *[]uint16, unix string) *value {
	v := list(to, func(one string) (uint16, error) {
		n, err := strconv.ParseUint(one, 10, 16)
		switch {
		case one == unix:
			return 0, nil
		case err != nil || n == 0:
			word := ""
			if unix != "" {
				word = " or unix,"
			}
			return 0, fmt.Errorf("ports from 1 to 65535,%s separated by commas; not %s", word, shorten(one))
		}
		return uint16(n), nil
	}, func(port uint16) string {
		if port == 0 {
			return unix
		}
		return strconv.Itoa(int(port))
	})
	v.kind |= isNumber
	v.arg, v.file = "PORTS", "a port or an array of ports"
	return v
}
