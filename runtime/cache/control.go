package cache

import "bytes"

// control is what the Cache-Control fields of an answer say (RFC 9111 §5.2.2,
// RFC 5861). Seconds are -1 where nothing was said.
type control struct {
	maxAge, sMaxAge int64
	stale, ifError  int64 // stale-while-revalidate, stale-if-error
	public          bool
	private         bool // or no-store, or no-cache, with or without field names
	mustRevalidate  bool // or proxy-revalidate
	noTransform     bool
}

func newControl() control { return control{maxAge: -1, sMaxAge: -1, stale: -1, ifError: -1} }

// add reads the value of one field. What cannot be understood makes the answer
// less good to keep, never more (RFC 9111 §4.2.1).
func (c *control) add(value []byte) {
	for len(value) > 0 {
		var name, arg []byte
		name, arg, value = directive(value)
		switch {
		case equalFold(name, "no-store"), equalFold(name, "no-cache"), equalFold(name, "private"):
			c.private = true
		case equalFold(name, "public"):
			c.public = true
		case equalFold(name, "must-revalidate"), equalFold(name, "proxy-revalidate"):
			c.mustRevalidate = true
		case equalFold(name, "no-transform"):
			c.noTransform = true
		case equalFold(name, "max-age"):
			c.maxAge = least(c.maxAge, seconds(arg))
		case equalFold(name, "s-maxage"):
			c.sMaxAge = least(c.sMaxAge, seconds(arg))
		case equalFold(name, "stale-while-revalidate"):
			c.stale = least(c.stale, seconds(arg))
		case equalFold(name, "stale-if-error"):
			c.ifError = least(c.ifError, seconds(arg))
		}
	}
}

// least is the smaller of what was said before, if anything was, and now.
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

// seconds reads delta-seconds (RFC 9111 §1.2.2). What is none is 0, and what is
// too much is MaxTTL.
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
