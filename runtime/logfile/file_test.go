package logfile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func open(t *testing.T, o Options) *File {
	t.Helper()
	if o.Flush == 0 {
		o.Flush = time.Millisecond
	}
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		// Wait, because the directory must not be removed while a file is compressed.
		settled(t, o.Path)
	})
	return f
}

func (f *File) line(format string, args ...any) { fmt.Fprintf(f, format+"\n", args...) }

func closed(t *testing.T, f *File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(b) == 0 {
		return nil
	}
	if b[len(b)-1] != '\n' {
		t.Fatalf("%s: the last line is cut: %q", path, b[max(0, len(b)-100):])
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func files(t *testing.T, path string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func waiting(t *testing.T, path string) int {
	t.Helper()
	o := Options{Path: path}
	dir, err := o.folder()
	if err != nil {
		return 0
	}
	defer dir.Close()
	return len(pending(dir, &o))
}

func settled(t *testing.T, path string) {
	t.Helper()
	eventually(t, "everything compressed", func() bool {
		return waiting(t, path) == 0
	})
}

var eventually = checktest.Eventually

func TestLogFileIsAppendedToAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for i := range 2 {
		f := open(t, Options{Path: path})
		f.line("x")
		closed(t, f)
		if got := len(lines(t, path)); got != i+1 {
			t.Errorf("%d lines", got)
		}
	}
	st, _ := os.Stat(path)
	if st.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v", st.Mode())
	}
}

func TestOpenErrorsAreOneLine(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "no", "log"), fifo, ""} {
		f, err := Open(Options{Path: path, Name: "access log"})
		if err == nil {
			f.Close()
			t.Errorf("%q opened", path)
			continue
		}
		if msg := err.Error(); strings.Contains(msg, "\n") || !strings.HasPrefix(msg, "access log: ") {
			t.Errorf("%q: %q", path, msg)
		}
	}
}

func TestMissingDirectoryKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	sub, moved := filepath.Join(dir, "sub"), filepath.Join(dir, "moved")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	f := open(t, Options{Path: filepath.Join(sub, "log"), Report: func(msg string) { told <- msg }})
	if err := os.Rename(sub, moved); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.line("x")
		f.Reopen()
	}
	closed(t, f)
	if got := lines(t, filepath.Join(moved, "log")); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if len(told) != 1 {
		t.Errorf("told %d times", len(told))
	}
}

func TestLineAboveTheLimitGetsItsOwnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, Options{Path: path, MaxSize: 10, Keep: 9})
	for _, n := range []int{3, 30, 4, 4} {
		f.line("%s", strings.Repeat("x", n))
	}
	closed(t, f)
	settled(t, path)
	if a, b, c := lines(t, path+".2.gz"), lines(t, path+".1.gz"), lines(t, path); len(a) != 1 || len(b) != 1 ||
		len(c) != 2 {
		t.Errorf("%q %q %q", a, b, c)
	}
}

func TestLineWithoutAnEndIsWrittenAndCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, Options{Path: path, MaxSize: 100, Keep: 1})
	x := strings.Repeat("x", 96)
	text := ""
	for _, piece := range []string{"begun", " and ended\nbegun", x, "\n"} {
		fmt.Fprint(f, piece)
		if piece == x {
			text = ""
		}
		text += piece
		eventually(t, piece, func() bool {
			b, _ := os.ReadFile(path)
			return string(b) == text
		})
	}
	closed(t, f)

	f = open(t, Options{Path: "/dev/full", Report: func(string) {}})
	fmt.Fprint(f, "ended\nbegun")
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), " 2 lines not written") {
		t.Errorf("close: %v", err)
	}
}

func TestAppendNeverWaitsAndLossesAreReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	told := make(chan string, 100)
	f := open(t, Options{Path: path, Report: func(msg string) { told <- msg }})
	line := strings.Repeat("u", 8000)
	sent := 0
	for f.Dropped() < 10 {
		f.line("%s", line)
		sent++
	}
	if held := sent * 8000; held > 3*memoryMax {
		t.Errorf("%d bytes were taken", held)
	}

	// When the reader reads again, it receives the complete buffered lines, and the dropped lines are reported.
	var got bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		got.ReadFrom(reader)
	}()
	if msg := <-told; !strings.Contains(msg, "lines lost") || strings.Contains(msg, "\n") {
		t.Errorf("report: %q", msg)
	}
	closed(t, f)
	<-read
	if want := strings.Repeat(line+"\n", sent-int(f.Dropped())); got.String() != want {
		t.Errorf("%d bytes arrived, not the %d of whole lines", got.Len(), len(want))
	}
}

func TestPipeGetsCompleteLines(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"a\n", "a\n"},
		{"aaa\nbbb\n", "aaa\nbbb\n"},
		{"aaa\nbbbb\n", "aaa\n"},
		{"aaaaaaaaaaaaa\nb\n", "aaaaaaaaaaaaa\n"},
		{"rest of a cut line\nb\n", "rest of a cut line\n"},
	} {
		if got := string(firstLines([]byte(c.lines), 8)); got != c.want {
			t.Errorf("%q: %q", c.lines, got)
		}
	}
}
