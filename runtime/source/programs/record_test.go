package programs

import (
	"bytes"
	"testing"
)

func TestParams(t *testing.T) {
	long := string(bytes.Repeat([]byte{'v'}, 300))
	got := appendParam(appendParam(nil, "A", "bc"), "NAME", long)
	want := append([]byte{1, 2, 'A', 'b', 'c', 4, 0x80, 0, 1, 44}, "NAME"+long...)
	if !bytes.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// FuzzReadRecords: records from anybody are taken or refused, wherever the bytes
// are cut, and take no more room than one record can have.
func FuzzReadRecords(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, typeStdout, []byte("Status: 200\n\n")), typeEnd, make([]byte, 8)), 3)
	f.Add(appendRecord(nil, typeStderr, bytes.Repeat([]byte("x"), 70)), 8)
	f.Add([]byte{1, typeStdout, 0, 1, 0xff, 0xff, 0xff, 0}, 1)
	f.Add([]byte{1, typeEnd, 0, 1, 0, 1, 0, 0, 9}, 0)
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), 5)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		whole, wholeErr := readAll(data)
		if cut < 0 || cut > len(data) {
			return
		}
		first, used, err := readSome(data[:cut])
		if err != nil {
			if wholeErr == nil || err.Error() != wholeErr.Error() {
				t.Fatalf("%v of the beginning, %v of all", err, wholeErr)
			}
			return
		}
		if cut-used >= maxRecord {
			t.Fatalf("%d bytes wait for more", cut-used)
		}
		rest, restErr := readAll(data[used:])
		if first+rest != whole || (restErr == nil) != (wholeErr == nil) {
			t.Fatalf("%q and %q, %v; together %q, %v", first, rest, restErr, whole, wholeErr)
		}
	})
}

func readAll(data []byte) (text string, err error) {
	text, _, err = readSome(data)
	return text, err
}

// readSome shows the whole records in data, up to the end of the request.
func readSome(data []byte) (text string, used int, err error) {
	for {
		r, n, err := parseRecord(data[used:])
		if err == errNeedMore {
			return text, used, nil
		}
		if err != nil {
			return text, used, err
		}
		used += n
		text += string('a'+rune(r.kind)) + string(r.content) + ";"
		if r.kind == typeEnd {
			if _, err := parseEnd(r.content); err != nil {
				return text, used, err
			}
		}
	}
}
