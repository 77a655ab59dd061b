package programs

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"fapws/runtime/checktest"
)

func TestParamsAreEncoded(t *testing.T) {
	long := string(bytes.Repeat([]byte{'v'}, 300))
	got := appendParam(appendParam(nil, "A", "bc"), "NAME", long)
	checktest.Equal(t, got, append([]byte{1, 2, 'A', 'b', 'c', 4, 0x80, 0, 1, 44}, "NAME"+long...))
}

// FuzzReadRecords checks that the accepted records do not depend on how the input is split, and that each record fits
// into the reader's buffer.
func FuzzReadRecords(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, typeStdout, []byte("Status: 200\n\n")), typeEnd, make([]byte, 8)))
	f.Add(appendRecord(nil, typeStderr, bytes.Repeat([]byte("x"), 70)))
	f.Add([]byte{1, typeStdout, 0, 1, 0xff, 0xff, 0xff, 0})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, wholeErr := readAll(bytes.NewReader(data))
		cut, cutErr := readAll(iotest.OneByteReader(bytes.NewReader(data)))
		checktest.Needf(t, cut == whole && cutErr.Error() == wholeErr.Error(),
			"%q, %v; in single bytes %q, %v", whole, wholeErr, cut, cutErr)
	})
}

func readAll(from io.Reader) (text string, err error) {
	in := bufio.NewReaderSize(from, maxRecord)
	for {
		kind, content, err := readRecord(in)
		if err != nil {
			return text, err
		}
		text += string('a'+rune(kind)) + string(content) + ";"
	}
}
