package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

// single returns a *value that reads text into the field, or nil if the field is not a text, number, time, boolean, or
// list of texts.
func single(field any, tag reflect.StructTag) *value {
	is, words, _ := strings.Cut(tag.Get("is"), " ")
	from, to, _ := strings.Cut(cmp.Or(tag.Get("range"), "1-1024T"), "-")
	least, _ := parseSize(from)
	most, _ := parseSize(to)
	switch field := field.(type) {
	case *string:
		if is == "one" {
			return choice(field, strings.Fields(words), strings.Fields(tag.Get("same")))
		}
		return textKinds[cmp.Or(is, "string")](field)
	case *[]string:
		if is == "expiries" {
			return expiries(field)
		}
		return texts(field)
	case *bool:
		switch is {
		case "one":
			return oneOf(field, strings.Fields(words), false, true)
		case "not":
			return toggle(field, false)
		}
		return toggle(field, true)
	case *int:
		switch is {
		case "mode":
			return octal(field, words)
		case "size":
			return size(field, int(least), int(most))
		}
		return count(field, int(least), int(most))
	case *int64:
		if is == "sync" {
			return syncing(field)
		}
		return size(field, least, most)
	case *time.Duration:
		if is == "age" {
			return age(field)
		}
		shortest, _ := ParseDuration(tag.Get("range"))
		return duration(field, shortest)
	}
	return nil
}

// The function like returns a kind of value for a text. fits reports whether a text is allowed, and allowed describes
// these texts.
func like(allowed string, fits func(string) bool) func(*string) *value {
	return func(to *string) *value {
		v := of(to, isText, func(s string) (string, error) {
			if !fits(s) || strings.ContainsRune(s, 0) {
				return "", errors.New(allowed)
			}
			return s, nil
		}, itself)
		v.file, v.script = allowed, "a string"
		return v
	}
}

func isGiven(s string) bool { return s != "" }

func isPattern(s string) bool {
	_, err := path.Match(s, "")
	return s != "" && err == nil && !strings.ContainsRune(s, '/')
}

var textKinds = map[string]func(*string) *value{
	"string":  like("a string", func(string) bool { return true }),
	"name":    text,
	"path":    like("the name of a file or directory", isGiven),
	"log":     like(`the name of a file, "-" or "off"`, isGiven),
	"program": like(`a program such as "php-cgi"`, isGiven),
	"pattern": like(`a pattern of file names, such as "*.php"`, isPattern),
	"format":  logFormat,
	"prefix": like(
		`a path that begins with a slash, without empty and dot segments, such as "/static/"; requests are `+
			`compared in this form`, func(s string) bool {
			return strings.HasPrefix(s, "/") && !strings.ContainsAny(s, "?#\r\n") && http1.IsCanonicalPrefix(s)
		}),
	"server": like(`the name that a certificate is for, such as "api.example.org"`, func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
			return c <= ' ' || c >= 0x7f || strings.ContainsRune(`/[]"@`, c)
		})
	}),
	"host": converted("", func(name string) (string, error) {
		host, err := route.HostName(name)
		if err != nil {
			err = errors.New(`host names without a port, such as "example.org", "*.example.org" or "example.*"`)
		}
		return host, err
	}),
}

var (
	bindHost = converted("a string", func(text string) (string, error) { return parseHost(strings.TrimSpace(text)) })
	rootPath = converted("a string", func(text string) (string, error) {
		text = strings.TrimRight(text, "/")
		if text != "" && (text[0] != '/' || strings.ContainsAny(text, "?#\x00\r\n ")) {
			return "", errors.New("a path such as /app")
		}
		return text, nil
	})
	httpsURL = like("a URL that begins with https://", func(s string) bool {
		return strings.HasPrefix(s, "https://") && s != "https://" && !strings.ContainsRune(s, ' ')
	})
	reloadCheck = like("off, a path such as /health, or http://host/health",
		func(s string) bool { return s == NoReloadCheck || IsTarget(s) })
)

// The function converted returns a kind of value for a text that read checks and normalizes. file is value.file.
func converted(file string, read func(string) (string, error)) func(*string) *value {
	return func(to *string) *value {
		v := of(to, isText, read, itself)
		v.file = file
		return v
	}
}

var (
	texts    = each(func(string) error { return nil })
	expiries = each(func(one string) error { // package static will parse the age
		if pattern, age, _ := strings.Cut(one, "="); pattern == "" || age == "" {
			return fmt.Errorf("a pattern, =, and a time, such as *.css=30d or *=no-cache; not %s", shorten(one))
		}
		return nil
	})
	hostNames = each(func(one string) error {
		if name := strings.TrimPrefix(one, "*."); !hostName(name) || !strings.Contains(name, ".") {
			return fmt.Errorf("host names such as example.org or *.example.org, separated by commas; not %s", shorten(one))
		}
		return nil
	})
)

// The function each returns a kind of value for a list of texts. check returns an error if a text is not allowed.
func each(check func(one string) error) func(*[]string) *value {
	return func(to *[]string) *value {
		return list(to, func(one string) (string, error) { return one, check(one) }, itself)
	}
}

// age returns the kind of value for a duration in whole seconds, such as the max-age of HSTS. The maximum is 100 times
// the constant longest.
func age(to *time.Duration) *value {
	return of(to, isText|isNumber, func(text string) (time.Duration, error) {
		d, ok := ParseDuration(text)
		if !ok || d > 100*longest || d%time.Second != 0 {
			return 0, errors.New(`a time such as "1y", "180d" or "1h", or a number of seconds`)
		}
		return d, nil
	}, showDuration)
}

// syncing returns the kind of value for a number of bytes or a word. The word "end" is stored as 0, and "none" as -1.
func syncing(to *int64) *value {
	return of(to, isText|isNumber, func(text string) (int64, error) {
		if n, named := map[string]int64{"end": 0, "none": -1}[text]; named {
			return n, nil
		}
		n, ok := parseSize(text)
		if !ok || n < 1 {
			return 0, errors.New(`"end", "none", or a number of bytes such as "4M"`)
		}
		return n, nil
	}, showSize)
}

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
