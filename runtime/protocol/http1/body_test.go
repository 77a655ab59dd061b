package http1

import (
	"io"
	"os"
	"testing"
	"time"

	"fapws/runtime/http1"
)

// FuzzDecode holds a chunked body that is cut anywhere to the same bytes at once: the same content, or the same refusal.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n5\r\n, wor\r\n2\r\nld\r\n0\r\n\r\n"), uint16(3), uint16(9))
	f.Add([]byte("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET"), uint16(1), uint16(1))
	f.Add([]byte("5\r\nhelloX"), uint16(4), uint16(2))
	f.Add([]byte("fffffffff\r\nhello"), uint16(9), uint16(9))
	f.Add([]byte("ffffffffffffffff1\r\n"), uint16(2), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, first, second uint16) {
		decode := func(cuts ...int) (content, rest string, whole bool, err error) {
			b := new(Body)
			b.Begin(&http1.Request{Body: http1.Chunked}, 100, 0)
			at := 0
			for _, cut := range append(cuts, len(data)) {
				cut = min(max(cut, at), len(data))
				buf := append([]byte(nil), data[at:cut]...)
				piece, left, done, err := b.Decode(buf)
				at = cut
				if err != nil {
					return "", "", false, err
				}
				content += string(piece)
				if done {
					return content, string(left) + string(data[at:]), true, nil
				}
				if len(left) > 0 {
					t.Fatalf("%q is left of a body that goes on", left)
				}
			}
			return content, "", false, nil
		}
		content, rest, whole, err := decode()
		content2, rest2, whole2, err2 := decode(int(first), int(first)+int(second))
		if err != err2 || whole != whole2 || content != content2 || rest != rest2 {
			t.Errorf("at once: %q, %q, %v, %v; cut: %q, %q, %v, %v", content, rest, whole, err, content2, rest2, whole2, err2)
		}
		var want []byte
		var d http1.ChunkedReader
		for left := data; err == nil; {
			piece, n, e := d.Next(left)
			want, left = append(want, piece...), left[n:]
			if d.Done() || e != nil {
				break
			}
		}
		if err == nil && string(want) != content {
			t.Errorf("%q, want %q", content, want)
		}
	})
}

// A body is kept in memory as long as it is small, and then in a file, whole.
func TestStore(t *testing.T) {
	for _, c := range []struct {
		pieces []string
		file   bool
	}{
		{nil, false},
		{[]string{"", "12345"}, false},
		{[]string{"12345", "6"}, true},
		{[]string{"1234567", "89", "0"}, true},
	} {
		want := ""
		for _, piece := range c.pieces {
			want += piece
		}
		b := new(Body)
		b.Begin(&http1.Request{Length: int64(len(want))}, -1, 0)
		for _, data := range c.pieces {
			piece, rest, whole, err := b.Decode([]byte(data))
			if len(rest) > 0 || whole != (b.Missing() == 0) || err != nil {
				t.Error(rest, whole, err)
			}
			if err := b.Store(piece, 5, t.TempDir()); err != nil {
				t.Error(err)
			}
		}
		data, spool := b.Stored()
		got := string(data)
		if spool >= 0 {
			f := os.NewFile(uintptr(spool), "spool")
			content, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
			f.Close()
			if got += string(content); err != nil {
				t.Error(err)
			}
		}
		if got != want || c.file != (spool >= 0) || b.Size() != int64(len(want)) {
			t.Errorf("%q: %q, in a file: %v", c.pieces, got, spool >= 0)
		}
		b.Drop() // it has nothing any more
	}
}

// Bytes behind a body with a length are not of it.
func TestRest(t *testing.T) {
	b := new(Body)
	b.Begin(&http1.Request{Length: 3}, -1, 0)
	piece, rest, whole, err := b.Decode([]byte("abcdef"))
	if string(piece) != "abc" || string(rest) != "def" || !whole || err != nil {
		t.Errorf("%q, %q, %v, %v", piece, rest, whole, err)
	}
}

func TestTooLarge(t *testing.T) {
	for _, c := range []struct {
		size, max int64
		want      bool
	}{{0, 0, false}, {1, 0, true}, {5, 5, false}, {6, 5, true}, {6, -1, false}} {
		if got := TooLarge(c.size, c.max); got != c.want {
			t.Errorf("%d of %d: %v", c.size, c.max, got)
		}
	}
	b := new(Body)
	b.Begin(&http1.Request{Body: http1.Chunked}, 5, 0)
	if _, _, _, err := b.Decode([]byte("6\r\n")); err != ErrTooLarge { // before its bytes have come
		t.Error(err)
	}
}

// The time in which a body is not read does not count.
func TestTooSlow(t *testing.T) {
	const second = int64(time.Second)
	for _, c := range []struct {
		size   int
		now    int64
		pauses bool // for 60 s
		want   bool
	}{
		{0, 10, false, false}, // the timeout has not passed
		{0, 21, false, true},
		{2099, 21, false, true},
		{2100, 21, false, false},
		{2099, 21 + 60, true, true},
		{2100, 21 + 60, true, false},
	} {
		b := new(Body)
		b.Begin(&http1.Request{Length: 1 << 20}, -1, 0)
		b.Decode(make([]byte, c.size))
		if c.pauses {
			b.Pause(5 * second)
			b.Resume(65 * second)
		}
		if got := b.TooSlow(c.now*second, 20*time.Second, 100); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
