package tracecontext

import (
	"bytes"

	"fapws/runtime/http1"
)

const (
	mostMembers = 32  // of a tracestate (§3.3.1.1)
	mostKey     = 256 // bytes
	mostValue   = 256
)

// validState reports whether all fields tracestate together are valid (§3.3.1). None are.
func validState(head []byte, fields []http1.Field) bool {
	members := 0
	for _, f := range fields {
		if !isNamed(head, f, state) {
			continue
		}
		for member := range bytes.SplitSeq(f.Value.In(head), []byte(",")) {
			if member = bytes.Trim(member, " \t"); len(member) == 0 {
				continue
			}
			key, value, ok := bytes.Cut(member, []byte("="))
			if members++; members > mostMembers || !ok || !isKey(key) || !isValue(value) {
				return false
			}
		}
	}
	return true
}

// isKey reports whether text is a key (§3.3.1.3.1), also with the name of a tenant before "@".
func isKey(text []byte) bool {
	if len(text) == 0 || len(text) > mostKey {
		return false
	}
	at := false
	for i, c := range text {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '-' || c == '*' || c == '/'):
		case i > 0 && c == '@' && !at && i < len(text)-1:
			at = true
		default:
			return false
		}
	}
	return true
}

// isValue reports whether text is a value (§3.3.1.3.2).
func isValue(text []byte) bool {
	if len(text) == 0 || len(text) > mostValue {
		return false
	}
	for _, c := range text {
		if c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}
