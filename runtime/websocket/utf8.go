package websocket

import "unicode/utf8"

// checker looks whether text that arrives in pieces is UTF-8, and says so at the
// first byte that cannot be part of it.
type checker struct {
	rest [utf8.UTFMax]byte // the beginning of a character
	n    uint8
}

// add takes the next piece. false: this is not UTF-8.
func (c *checker) add(b []byte) bool {
	for c.n > 0 && len(b) > 0 {
		c.rest[c.n] = b[0]
		c.n++
		b = b[1:]
		if !utf8.FullRune(c.rest[:c.n]) { // it may still become one
			continue
		}
		if r, size := utf8.DecodeRune(c.rest[:c.n]); r == utf8.RuneError && size == 1 {
			return false
		}
		c.n = 0
	}
	if len(b) == 0 || utf8.Valid(b) {
		return true
	}
	// It may end within a character, which begins in one of the last three bytes.
	for k := 1; k < utf8.UTFMax && k <= len(b); k++ {
		if at := len(b) - k; utf8.RuneStart(b[at]) {
			if utf8.FullRune(b[at:]) || !utf8.Valid(b[:at]) {
				return false
			}
			c.n = uint8(copy(c.rest[:], b[at:]))
			return true
		}
	}
	return false
}

// whole says whether the text ends with a whole character, and makes c ready for
// another text.
func (c *checker) whole() bool {
	whole := c.n == 0
	c.n = 0
	return whole
}
