package bundle

import (
	"bytes"
	"strconv"
	"strings"
)

// mark ends with the length of the bundle whose program this is; 0 in fapws itself. "fapws bundle" changes the digits in
// its copy of the program, so that a bundle without its end is still known as a bundle.
var mark = "length of the fapws bundle: " + noLength

const noLength = "00000000000000000000"

// IsBundle reports whether this program is that of a bundle.
func IsBundle() bool { return !strings.HasSuffix(mark, noLength) }

// findMark returns the offset and the value of the digits of mark in a program; both are 0 if the program is no fapws.
func findMark(text []byte) (offset int64, length uint64) {
	name := mark[:len(mark)-len(noLength)]
	at := bytes.Index(text, []byte(name))
	if at < 0 || len(text) < at+len(mark) {
		return 0, 0
	}
	length, _ = strconv.ParseUint(string(text[at+len(name):at+len(mark)]), 10, 64)
	return int64(at + len(name)), length
}
