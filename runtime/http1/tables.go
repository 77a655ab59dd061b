package http1

import "encoding/binary"

// One table for all classes keeps what a request touches in four cache lines.
const (
	isToken  = 1 << iota // tchar, RFC 9110 §5.6.2
	isValue              // field-vchar, obs-text, SP, HTAB, RFC 9110 §5.5
	isTarget             // visible ASCII but "#", RFC 3986 §2 and more than its letter: browsers send {|}
	isPlain              // isTarget but "?" and what Request.Plain depends on: "%", "/" and a backslash
	isHost               // unreserved and sub-delims, RFC 3986 §3.2.2
	isHex                // HEXDIG
)

var class = func() (t [256]uint8) {
	set := func(bits uint8, chars string) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= bits
		}
	}
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(isToken, alnum+"!#$%&'*+-.^_`|~")
	set(isHost, alnum+"-._~"+"!$&'()*+,;=")
	set(isHex, "0123456789abcdefABCDEF")
	for c := 0x21; c < 0x7f; c++ {
		t[c] |= isTarget | isPlain | isValue
	}
	t['#'] &^= isTarget | isPlain
	t['%'] &^= isPlain
	t['?'] &^= isPlain
	t['/'] &^= isPlain
	t['\\'] &^= isPlain
	set(isValue, " \t")
	for c := 0x80; c < 0x100; c++ {
		t[c] |= isValue
	}
	return t
}()

const (
	every01 = 0x0101010101010101
	every60 = 0x60 * every01
	every7f = 0x7f * every01
	every80 = 0x80 * every01
)

// validValue reports whether b has only bytes of a field value. It judges
// eight bytes at once and takes the slow way only for HTAB, which is rare.
func validValue(b []byte) bool {
	if len(b) < 8 {
		return all(b, isValue)
	}
	controls := controlsIn(b[len(b)-8:])
	for i := 0; i < len(b)-8; i += 8 {
		controls |= controlsIn(b[i:])
	}
	return controls&every80 == 0 || all(b, isValue)
}

// controlsIn sets the top bit of each of the eight bytes that is below 0x20 or
// DEL. Without their own top bits no sum carries into the next byte: 0x7f+1
// sets the top bit, and c+0x60 does not for c below 0x20.
func controlsIn(b []byte) uint64 {
	w := binary.LittleEndian.Uint64(b)
	low := w & every7f
	return (low + every01 | ^(low + every60)) &^ w
}

func all(b []byte, bits uint8) bool {
	for _, c := range b {
		if class[c]&bits == 0 {
			return false
		}
	}
	return true
}

// equalFold reports whether b is lower in any case. lower has only small
// letters, digits and "-"; b must be a token, in which no other byte becomes
// one of these by setting bit 5.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// IsTokenByte reports whether names of fields may have c (RFC 9110 §5.6.2).
func IsTokenByte(c byte) bool { return class[c]&isToken != 0 }
