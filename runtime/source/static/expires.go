package static

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// expire is the Cache-Control of the files that match a pattern.
type expire struct {
	pattern string
	control string // "" for no such field
}

// parseExpires reads Options.Expires.
func parseExpires(rules []string) (expires []expire, err error) {
	for _, rule := range rules {
		e, err := parseExpire(rule)
		if err != nil {
			return nil, err
		}
		expires = append(expires, e)
	}
	return expires, nil
}

// parseExpire reads "PATTERN=VALUE". A pattern with a slash is compared with
// the whole path below the root, "/img/*", another one with the file's name,
// "*.css"; "*" stands for any characters, "?" for one. The value is a time as in
// "30d" (s, m, h, d, w or y; seconds without a unit), "immutable" (a year, and it
// never changes), a time and "immutable", "no-cache", "no-store", or "off" for
// nothing.
func parseExpire(rule string) (e expire, err error) {
	at := strings.LastIndexByte(rule, '=')
	if at < 1 {
		return e, fmt.Errorf("%q is not of the form \"*.css=30d\"", rule)
	}
	e.pattern = strings.TrimSpace(rule[:at])
	value := strings.TrimSpace(rule[at+1:])
	switch value {
	case "off":
		return e, nil
	case "no-cache", "no-store":
		e.control = value
		return e, nil
	case "immutable":
		value = "1y immutable"
	}
	age, immutable, more := strings.Cut(value, " ")
	seconds, ok := parseAge(age)
	if !ok || more && strings.TrimSpace(immutable) != "immutable" {
		return e, fmt.Errorf("%q: %q is not a time such as 30d, or immutable, no-cache, no-store or off", rule, value)
	}
	e.control = maxAge(seconds)
	if more {
		e.control += ", immutable"
	}
	return e, nil
}

func maxAge(seconds int) string { return "public, max-age=" + strconv.Itoa(seconds) }

// parseAge reads a number with a unit and returns seconds, at most 2³¹-1 (RFC
// 9111 §1.2.2).
func parseAge(s string) (seconds int, ok bool) {
	if s == "" {
		return 0, false
	}
	units := map[byte]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400, 'y': 365 * 86400}
	unit := 1
	if u := units[s[len(s)-1]]; u != 0 {
		unit, s = u, s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return min(int(min(n, 1<<31-1)*uint64(unit)), 1<<31-1), err == nil
}

// cacheControl returns the value for a file below the root; "" for none.
func (f *Files) cacheControl(name string) string {
	for i := range f.expires {
		e := &f.expires[i]
		of := name[strings.LastIndexByte(name, '/')+1:]
		if strings.ContainsRune(e.pattern, '/') {
			of = "/" + name
		}
		if fits(e.pattern, of) {
			return e.control
		}
	}
	if f.opt.MaxAge >= 0 {
		return maxAge(f.opt.MaxAge)
	}
	return ""
}

// fits compares a name with a pattern of "*" and "?". It takes no longer than
// the product of their lengths.
func fits(pattern, name string) bool {
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0: // the star takes one more
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// headerLines makes lines of fields, in the order of their names.
func headerLines(headers map[string]string) (string, error) {
	var lines []string
	for name, value := range headers {
		for i := range len(name) {
			if !strings.ContainsRune("!#$%&'*+-.^_`|~0123456789", rune(name[i])) && (name[i]|0x20 < 'a' || name[i]|0x20 > 'z') {
				return "", fmt.Errorf("%q is not the name of a header field", name)
			}
		}
		if name == "" || strings.ContainsAny(value, "\r\n\x00") {
			return "", fmt.Errorf("the header field %q: %q has no name or more than one line", name, value)
		}
		lines = append(lines, name+": "+value+"\r\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), nil
}
