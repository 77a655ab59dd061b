package bundle

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mark ends with the length of the bundle whose program this is; 0 in fapws itself. "fapws bundle" changes the digits in
// its copy of the program, so that a bundle without its end is still known as a bundle.
var mark = "length of the fapws bundle: " + noLength

const noLength = "00000000000000000000"

// IsBundle reports whether this program is that of a bundle.
func IsBundle() bool { return !strings.HasSuffix(mark, noLength) }

// findMark returns the offset and the value of the digits of mark in a file; both are 0 if the file is no fapws.
func findMark(file *os.File, size int64) (offset int64, length uint64) {
	text, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return 0, 0
	}
	defer unix.Munmap(text)
	name := mark[:len(mark)-len(noLength)]
	at := bytes.Index(text, []byte(name))
	if at < 0 || len(text) < at+len(mark) {
		return 0, 0
	}
	digits := text[at+len(name) : at+len(mark)]
	length, _ = strconv.ParseUint(string(digits), 10, 64)
	return int64(at + len(name)), length
}

// Program returns the size of the program at the beginning of a file, without a bundle, and the offset of its length
// (mark), which has 20 digits.
func Program(path string) (size, digits int64, err error) {
	b, err := Open(path, path)
	if err != nil {
		return 0, 0, err
	}
	if b != nil {
		defer b.Close()
		m, err := b.Manifest()
		if err != nil {
			return 0, 0, err
		}
		digits, _ := findMark(b.file, int64(m.Program))
		return int64(m.Program), digits, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	if size, err = file.Seek(0, io.SeekEnd); err != nil {
		return 0, 0, err
	}
	if digits, _ = findMark(file, size); digits == 0 {
		return 0, 0, errors.New(path + " is not an executable of this version of fapws")
	}
	return size, digits, nil
}
