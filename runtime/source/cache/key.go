package cache

import (
	"bytes"

	"fapws/runtime/http1"
)

// Request is the key of an answer. Slices are the caller's; they are not kept.
type Request struct {
	Head   []byte
	Parsed *http1.Request
	Scheme string // "http" or "https"
	Host   []byte // with the port, as the client has it
	Root   []byte // the path that a proxy has before the application, if any
	Path   []byte // percent-decoded, as it is seen from outside
	Known  bool   // the client has shown a certificate
}

// Asked returns the fields that decide for which clients an answer is.
func (r *Request) Asked() (a Asked) {
	a.Authorization = r.Known
	for _, f := range r.Parsed.Fields {
		switch f.Name.Len {
		case 6:
			a.Cookie = a.Cookie || equalFold(f.Name.In(r.Head), "cookie")
		case 13:
			a.Authorization = a.Authorization || equalFold(f.Name.In(r.Head), "authorization")
		}
	}
	return a
}

// The parts of a key are divided by NUL, which no head has. path is where the
// path begins and ends in it.
type span struct{ from, to int }

// appendKey appends the key of a request, without what Vary adds.
func (c *Compiled) appendKey(key []byte, r *Request) ([]byte, span) {
	key = append(key, r.Scheme...)
	key = append(key, 0)
	for _, b := range r.Host {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		key = append(key, b)
	}
	key = append(key, 0)
	path := span{from: len(key)}
	key = append(key, r.Root...)
	key = append(key, r.Parsed.Path.In(r.Head)...)
	path.to = len(key)
	if !c.rule.IgnoreQuery && r.Parsed.Query.Len > 0 {
		key = append(key, '?')
		key = append(key, r.Parsed.Query.In(r.Head)...)
	}
	return r.appendVary(key, c.vary), path
}

// appendVary appends the values of the fields called names.
func (r *Request) appendVary(key []byte, names []string) []byte {
	for _, name := range names {
		key = append(key, 0)
		if name == "accept-encoding" {
			key = r.appendCodings(key)
			continue
		}
		for _, f := range r.Parsed.Fields {
			if int(f.Name.Len) == len(name) && equalFold(f.Name.In(r.Head), name) {
				key = appendMembers(key, f.Value.In(r.Head), name == "accept-language")
				key = append(key, ',') // RFC 9110 §5.3: two fields are one with a list
			}
		}
	}
	return key
}

// appendMembers appends the value of a field without white space beside commas, which has no meaning in a list (RFC 9110
// §5.6.1), and in lower case if fold.
func appendMembers(key, value []byte, fold bool) []byte {
	quoted, space, after := false, -1, true // after: nothing but a comma is before
	for i, b := range value {
		if (b == ' ' || b == '\t') && !quoted {
			if space < 0 {
				space = i
			}
			continue
		}
		if space >= 0 && b != ',' && !after {
			key = append(key, value[space:i]...)
		}
		space, after = -1, b == ',' && !quoted
		if b == '"' {
			quoted = !quoted
		}
		if fold && 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		key = append(key, b)
	}
	return key
}

// appendCodings appends which codings the client takes, in one order: clients
// have many ways to say the same (RFC 9110 §12.5.3).
func (r *Request) appendCodings(key []byte) []byte {
	var has [len(codings)]bool
	for _, f := range r.Parsed.Fields {
		if f.Name.Len != 15 || !equalFold(f.Name.In(r.Head), "accept-encoding") {
			continue
		}
		for list := f.Value.In(r.Head); len(list) > 0; {
			var item []byte
			item, list, _ = bytes.Cut(list, []byte{','})
			name, weight, _ := bytes.Cut(item, []byte{';'})
			weight = bytes.Trim(weight, " \t")
			if refused(weight) {
				continue
			}
			name = bytes.Trim(name, " \t")
			for i, coding := range codings {
				has[i] = has[i] || equalFold(name, coding)
			}
		}
	}
	for i, coding := range codings {
		if has[i] {
			key = append(key, coding...)
			key = append(key, ',')
		}
	}
	return key
}

var codings = [...]string{"gzip", "br", "zstd", "deflate", "*"}

// refused reads a weight: "q=0", "q=0.0".
func refused(weight []byte) bool {
	if len(weight) < 3 || weight[0] != 'q' && weight[0] != 'Q' || weight[1] != '=' {
		return false
	}
	return len(bytes.Trim(weight[2:], "0.")) == 0
}
