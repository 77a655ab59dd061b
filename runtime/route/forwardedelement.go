package route

import "strings"

// element is one forwarded-element of the field Forwarded (RFC 7239 §4), what
// one proxy has added: the parameters for, proto and host.
type element struct{ node, proto, host string }

// maxReach is how many commas lastElement looks for the beginning of an element at.
const maxReach = 16

// lastElement cuts the last element off a list. It is read from the end so that text of the client in front, such as
// a quote that never closes, cannot hide the element that a proxy has added behind it: the shortest piece that can be
// read is the element. more says whether there was a comma before it.
func lastElement(list string) (e element, rest string, more, ok bool) {
	comma := len(list)
	for range maxReach {
		comma = strings.LastIndexByte(list[:comma], ',')
		if e, ok = parseElement(list[comma+1:]); ok {
			return e, list[:max(comma, 0)], comma >= 0, true
		}
		if comma < 0 {
			break
		}
	}
	return element{}, "", false, false
}

// parseElement reads pairs: token "=" ( token / quoted-string ), with ";"
// between them. Values that should be quoted and are not, such as an address
// with its port, are taken too.
func parseElement(s string) (e element, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return e, true
		}
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		n := strings.IndexAny(s, "=;, \t\"")
		if n <= 0 || s[n] != '=' {
			return e, false
		}
		name := s[:n]
		var value string
		if value, s, ok = parseValue(s[n+1:]); !ok {
			return e, false
		}
		to := (*string)(nil)
		switch {
		case strings.EqualFold(name, "for"):
			to = &e.node
		case strings.EqualFold(name, "proto"):
			to = &e.proto
		case strings.EqualFold(name, "host"):
			to = &e.host
		}
		if to != nil {
			if *to != "" { // each once (§4)
				return e, false
			}
			*to = value
		}
	}
}

// parseValue reads a value that ends with the list or at a ";".
func parseValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ';')
		if end < 0 {
			end = len(s)
		}
		value = strings.TrimRight(s[:end], " \t")
		return value, s[end:], value != "" && !strings.ContainsAny(value, "\"\\, \t")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			rest = strings.TrimLeft(s[i+1:], " \t")
			return b.String(), rest, rest == "" || rest[0] == ';'
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
