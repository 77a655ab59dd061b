package conn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func pair(t *testing.T) (a, b int) {
	t.Helper()
	ends := checktest.Try(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)).Must(t)
	for _, fd := range ends {
		unix.SetNonblock(fd, true)
		t.Cleanup(func() { unix.Close(fd) })
	}
	return ends[0], ends[1]
}

func all(t *testing.T, b int) []byte {
	t.Helper()
	var got []byte
	for buf := make([]byte, 1000); ; {
		n, err := Receive(b, buf)
		if err == unix.EAGAIN || n == 0 && err == nil {
			return got
		}
		checktest.Must(t, err)
		got = append(got, buf[:n]...)
	}
}

func TestOffsetsAbove4GiBWorkOn32BitMachines(t *testing.T) {
	const at = 5<<30 + 1
	f := checktest.Try(os.Create(filepath.Join(t.TempDir(), "file"))).Must(t)
	defer f.Close()
	checktest.Try(f.WriteAt([]byte("the end"), at)).Must(t)
	fd := int(f.Fd())
	buf := make([]byte, 10)
	n, err := ReadFile(fd, buf, at)
	checktest.Truef(t, string(buf[:n]) == "the end" && err == nil, "%q, %v", buf[:n], err)
	checktest.Truef(t, !cached(fd, at+7), "a byte behind the end is in memory")
	a, b := pair(t)
	from := int64(at)
	n, err = sendCached(a, fd, &from, 10)
	if got := all(t, b); string(got) != "the end" || n != 7 || err != nil || from != at+7 {
		t.Errorf("%q, %d bytes, %v, now at %d", got, n, err, from)
	}
}

func TestPiecesAreSentInOrder(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	checktest.Must(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var v vector
	buf := make([]byte, 1000)
	for _, count := range []int{0, 1, 2, MaxPieces, 1} {
		want, pieces := "", [][]byte{nil}
		for i := range count {
			text := strings.Repeat("x", i%3) + string(rune('a'+i%26))
			want += text
			pieces = append(pieces, []byte(text), nil)
		}
		n, err := v.Send(fds[0], pieces...)
		checktest.Needf(t, n == len(want) && err == nil, "%d pieces: %d of %d bytes, %v", count, n, len(want), err)
		if count == 0 {
			continue
		}
		if n, err := Receive(fds[1], buf); err != nil || string(buf[:n]) != want {
			t.Errorf("%d pieces: %q, %v, want %q", count, buf[:max(n, 0)], err, want)
		}
	}
	for err == nil {
		_, err = v.Send(fds[0], buf)
	}
	checktest.Truef(t, err == unix.EAGAIN, "%v", err)
}
