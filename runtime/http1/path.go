package http1

import "bytes"

// DecodePath appends raw to dst with percent-encoding undone, as PEP 3333 has it for SCRIPT_NAME and PATH_INFO: "%2F"
// becomes "/", dot segments and double slashes stay. An invalid encoding is copied; a path that Parse let through has
// none, and no "%00".
func DecodePath(dst, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '%')
		if i < 0 || i+2 >= len(raw) {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		if class[raw[i+1]]&class[raw[i+2]]&isHex == 0 {
			dst = append(dst, '%')
			raw = raw[i+1:]
			continue
		}
		dst = append(dst, unhex(raw[i+1])<<4|unhex(raw[i+2]))
		raw = raw[i+3:]
	}
}

// unhex returns the value of a HEXDIG.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}
