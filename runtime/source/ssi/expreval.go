package ssi

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// compare returns a comparison of two words, as text or as numbers.
func compare(operator string, a, b word) condition {
	if operator[0] == '-' {
		return ordered("=="+operator, func(p *page) int {
			x, y := leadingInt(a(p)), leadingInt(b(p))
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
	}
	return ordered(operator, func(p *page) int { return strings.Compare(a(p), b(p)) })
}

// ordered turns an order into a condition.
func ordered(operator string, order func(*page) int) condition {
	switch operator {
	case "==", "==-eq":
		return func(p *page) bool { return order(p) == 0 }
	case "!=", "==-ne":
		return func(p *page) bool { return order(p) != 0 }
	case "<", "==-lt":
		return func(p *page) bool { return order(p) < 0 }
	case "<=", "==-le":
		return func(p *page) bool { return order(p) <= 0 }
	case ">", "==-gt":
		return func(p *page) bool { return order(p) > 0 }
	}
	return func(p *page) bool { return order(p) >= 0 }
}

// leadingInt reads a number as C's strtoll: spaces, a sign, digits; without
// any it is 0.
func leadingInt(s string) int64 {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	n := 0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		n = 1
	}
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	v, _ := strconv.ParseInt(s[:n], 10, 64) // out of range: the nearest
	return v
}

// match compares a word with a regular expression. One with groups leaves them
// to $0 ... $9, also when it does not match.
func match(w word, re *regexp.Regexp, negate bool) condition {
	if re.NumSubexp() == 0 {
		return func(p *page) bool { return re.MatchString(w(p)) != negate }
	}
	return func(p *page) bool {
		return p.match(re, w(p)) != negate
	}
}

func in(w word, list []word) condition {
	return func(p *page) bool {
		s := w(p)
		for _, one := range list {
			if one(p) == s {
				return true
			}
		}
		return false
	}
}

// unary returns -n and the like. constant is the operand if it is known.
func unary(operator string, w word, constant *string) condition {
	switch operator {
	case "z":
		return func(p *page) bool { return w(p) == "" }
	case "n":
		return func(p *page) bool { return w(p) != "" }
	case "T":
		return func(p *page) bool { return truth(w(p)) }
	case "R":
		net := subnet("-R", constant)
		return func(p *page) bool { return contains(net, p.r.Peer.Addr) }
	case "A", "U":
		return func(p *page) bool { return p.reachable(w(p)) }
	case "d", "e", "f", "s", "L", "h", "x", "F":
		fail("-%s is not supported in pages", operator)
	}
	fail("unknown operator -%s", operator)
	return nil
}

// binary returns -ipmatch and the like. constant is the right operand if it is
// known.
func binary(operator string, a, b word, constant *string) condition {
	switch strings.ToLower(operator) {
	case "ipmatch":
		net := subnet("-ipmatch", constant)
		return func(p *page) bool { return contains(net, a(p)) }
	case "strmatch":
		return func(p *page) bool { return glob(b(p), a(p), false) }
	case "strcmatch":
		return func(p *page) bool { return glob(strings.ToLower(b(p)), strings.ToLower(a(p)), false) }
	case "fnmatch":
		return func(p *page) bool { return glob(b(p), a(p), true) }
	}
	fail("unknown operator -%s", operator)
	return nil
}

// truth is the result of -T.
func truth(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "off", "no", "false":
		return false
	}
	return true
}

// subnet reads "10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0" or "10.1".
func subnet(operator string, constant *string) netip.Prefix {
	if constant == nil {
		fail("%s requires a network as a plain string", operator)
	}
	text, mask, masked := strings.Cut(*constant, "/")
	parts := strings.Split(text, ".")
	if !masked && len(parts) < 4 && !strings.Contains(text, ":") {
		mask, masked = strconv.Itoa(8*len(parts)), true
		text += strings.Repeat(".0", 4-len(parts))
	}
	addr, err := netip.ParseAddr(text)
	bits := addr.BitLen()
	if err == nil && masked {
		if m, merr := netip.ParseAddr(mask); merr == nil && m.BitLen() == bits {
			bits, err = maskBits(m)
		} else {
			bits, err = strconv.Atoi(mask)
		}
	}
	if err == nil {
		var net netip.Prefix
		if net, err = addr.Prefix(bits); err == nil {
			return net
		}
	}
	fail("%s: %q is not a network", operator, *constant)
	return netip.Prefix{}
}

// maskBits counts the bits of a mask such as 255.255.0.0.
func maskBits(m netip.Addr) (bits int, err error) {
	for _, b := range m.AsSlice() {
		for ; b&0x80 != 0; b <<= 1 {
			bits++
		}
		if b != 0 {
			return 0, strconv.ErrRange
		}
	}
	return bits, nil
}

func contains(net netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && net.Contains(a.Unmap())
}

// glob matches a name with * ? [a-z] and backslashes; with path, none of them
// stands for a slash.
func glob(pattern, s string, path bool) bool {
	star, mark := -1, 0 // the last star, and where its match ends
	p, i := 0, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, i
			p++
			continue
		}
		if n, ok := globOne(pattern[p:], s[i], path); ok {
			p += n
			i++
			continue
		}
		if star < 0 || path && s[mark] == '/' {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globOne compares one byte with the beginning of a pattern, of which it says
// how much that was.
func globOne(pattern string, c byte, path bool) (n int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, !path || c != '/'
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		return globClass(pattern, c, path)
	}
	return 1, pattern[0] == c
}

func globClass(pattern string, c byte, path bool) (n int, ok bool) {
	n = 1
	negate := n < len(pattern) && (pattern[n] == '!' || pattern[n] == '^')
	if negate {
		n++
	}
	found := false
	for first := true; n < len(pattern) && (first || pattern[n] != ']'); first = false {
		low := pattern[n]
		if low == '\\' && n+1 < len(pattern) {
			n++
			low = pattern[n]
		}
		high := low
		if n+2 < len(pattern) && pattern[n+1] == '-' && pattern[n+2] != ']' {
			high = pattern[n+2]
			n += 2
		}
		found = found || low <= c && c <= high
		n++
	}
	if n == len(pattern) {
		return 1, c == '[' // no end: a bracket
	}
	return n + 1, found != negate && (!path || c != '/')
}

// function returns the function of that name.
func function(name string) func(p *page, argument string) string {
	plain := func(f func(string) string) func(*page, string) string {
		return func(_ *page, s string) string { return f(s) }
	}
	switch strings.ToLower(name) {
	case "v", "reqenv", "env":
		return func(p *page, s string) string { v, _ := p.variable(s); return v }
	case "req", "http", "req_novary":
		return (*page).field
	case "resp", "note", "osenv":
		return plain(func(string) string { return "" })
	case "tolower":
		return plain(lower)
	case "toupper":
		return plain(upper)
	case "escape":
		return plain(escapeURL)
	case "unescape":
		return plain(unescapeStrict)
	case "base64":
		return plain(encoders["base64"])
	case "unbase64":
		return plain(decodeBase64)
	case "sha1":
		return plain(func(s string) string { sum := sha1.Sum([]byte(s)); return hex.EncodeToString(sum[:]) })
	case "md5":
		return plain(func(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) })
	case "file", "filesize", "filemod":
		fail("%s() is not supported in pages", name)
	}
	fail("unknown function %q", name)
	return nil
}

// lower and upper are for ASCII, as in C: a name in any other letters stays.
func lower(s string) string { return mapASCII(s, 'A', 'Z', 'a'-'A') }
func upper(s string) string { return mapASCII(s, 'a', 'z', -('a' - 'A')) }

func mapASCII(s string, low, high byte, by int) string {
	b := []byte(s)
	for i, c := range b {
		if low <= c && c <= high {
			b[i] = byte(int(c) + by)
		}
	}
	return string(b)
}

// unescapeStrict decodes %XX, but not a slash; malformed text gives nothing.
func unescapeStrict(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return ""
		}
		v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		switch {
		case err != nil || v == 0:
			return ""
		case v == '/':
			b = append(b, s[i:i+3]...)
		default:
			b = append(b, byte(v))
		}
		i += 2
	}
	return string(b)
}
