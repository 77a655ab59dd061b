package http1

import "strconv"

// ParsePort reads a port as URIs and PROXY lines have it.
func ParsePort(s string) (uint16, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}
