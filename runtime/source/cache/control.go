package cache

import "bytes"

// control is the cache directives of a response (RFC 9111 §5.2.2, RFC 5861). Seconds are -1 for missing ones.
type control struct {
	maxAge, sMaxAge int64
	stale, ifError  int64 // stale-while-revalidate, stale-if-error
	public          bool
	private         bool // with or without field names
	noStore         bool
	noCache         bool // with or without field names
	mustRevalidate  bool // or proxy-revalidate
	mustUnderstand  bool
	noTransform     bool
}

func newControl() control { return control{maxAge: -1, sMaxAge: -1, stale: -1, ifError: -1} }

// add reads the value of a Cache-Control field. A directive that cannot be understood shortens the lifetime, and
// never extends it (RFC 9111 §4.2.1); so does one that is given twice.
func (c *control) add(value []byte) {
	for len(value) > 0 {
		var name, arg []byte
		name, arg, value = directive(value)
		if flag := c.flag(name); flag != nil {
			*flag = true
		} else if n := c.number(name); n != nil {
			*n = least(*n, seconds(arg))
		}
	}
}

// flag returns the field for a directive that stands for itself, or nil.
func (c *control) flag(name []byte) *bool {
	switch {
	case equalFold(name, "no-store"):
		return &c.noStore
	case equalFold(name, "no-cache"):
		return &c.noCache
	case equalFold(name, "private"):
		return &c.private
	case equalFold(name, "public"):
		return &c.public
	case equalFold(name, "must-revalidate"), equalFold(name, "proxy-revalidate"):
		return &c.mustRevalidate
	case equalFold(name, "must-understand"):
		return &c.mustUnderstand
	case equalFold(name, "no-transform"):
		return &c.noTransform
	}
	return nil
}

// number returns the field for a directive with seconds, or nil.
func (c *control) number(name []byte) *int64 {
	switch {
	case equalFold(name, "max-age"):
		return &c.maxAge
	case equalFold(name, "s-maxage"):
		return &c.sMaxAge
	case equalFold(name, "stale-while-revalidate"):
		return &c.stale
	case equalFold(name, "stale-if-error"):
		return &c.ifError
	}
	return nil
}

// least returns the smaller of before, unless it is -1, and now.
func least(before, now int64) int64 {
	if before >= 0 && before < now {
		return before
	}
	return now
}

// directive cuts the first one off a list: "name", "name=token" or
// "name="quoted, string"". An argument that does not end is the rest.
func directive(list []byte) (name, arg, rest []byte) {
	i := 0
	for i < len(list) && list[i] != ',' && list[i] != '=' {
		i++
	}
	name = bytes.TrimSpace(list[:i])
	if i == len(list) || list[i] == ',' {
		return name, nil, list[min(i+1, len(list)):]
	}
	list = bytes.TrimLeft(list[i+1:], " \t")
	if len(list) > 0 && list[0] == '"' {
		for i = 1; i < len(list) && list[i] != '"'; i++ {
			if list[i] == '\\' {
				i++
			}
		}
		i = min(i, len(list))
		arg, list = list[1:max(i, 1)], list[min(i+1, len(list)):]
		if i = bytes.IndexByte(list, ','); i < 0 {
			return name, arg, nil
		}
		return name, arg, list[i+1:]
	}
	if i = bytes.IndexByte(list, ','); i < 0 {
		return name, bytes.TrimSpace(list), nil
	}
	return name, bytes.TrimSpace(list[:i]), list[i+1:]
}

// seconds reads delta-seconds (RFC 9111 §1.2.2). An invalid value is 0, and one that is too large is MaxTTL.
func seconds(arg []byte) (n int64) {
	if len(arg) == 0 {
		return 0
	}
	const most = int64(MaxTTL / 1e9)
	for _, b := range arg {
		if b < '0' || b > '9' {
			return 0
		}
		if n = n*10 + int64(b-'0'); n > most {
			n = most
		}
	}
	return n
}

// equalFold compares with a name in lower case; ASCII only.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
