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
	f := checktest.Try(Open(o)).Must(t)
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
	checktest.Must(t, f.Close())
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
	checktest.Mustf(t, err, "%s", path)
	if len(b) == 0 {
		return nil
	}
	checktest.Needf(t, b[len(b)-1] == '\n', "%s: the last line is cut: %q", path, b[max(0, len(b)-100):])
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func files(t *testing.T, path string) (list []string) {
	t.Helper()
	entries := checktest.Try(os.ReadDir(filepath.Dir(path))).Must(t)
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
	eventually(t, "everything compressed", func() bool { return waiting(t, path) == 0 })
}

var eventually = checktest.Eventually

func TestLogFileIsAppendedToAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for i := range 2 {
		f := open(t, Options{Path: path})
		f.line("x")
		closed(t, f)
		checktest.Equalf(t, len(lines(t, path)), i+1, "lines")
	}
	st, _ := os.Stat(path)
	checktest.Equalf(t, st.Mode().Perm()&^0o640, 0, "mode")
}

func TestOpenErrorsAreOneLine(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	checktest.Must(t, syscall.Mkfifo(fifo, 0o600))
	for _, path := range []string{dir, filepath.Join(dir, "no", "log"), fifo, ""} {
		f, err := Open(Options{Path: path, Name: "access log"})
		if err == nil {
			f.Close()
			t.Errorf("%q opened", path)
			continue
		}
		msg := err.Error()
		checktest.Truef(t, !strings.Contains(msg, "\n") && strings.HasPrefix(msg, "access log: "), "%q: %q", path, msg)
	}
}

func TestMissingDirectoryKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	sub, moved := filepath.Join(dir, "sub"), filepath.Join(dir, "moved")
	checktest.Must(t, os.Mkdir(sub, 0o700))
	told := make(chan string, 100)
	f := open(t, Options{Path: filepath.Join(sub, "log"), Report: func(msg string) { told <- msg }})
	checktest.Must(t, os.Rename(sub, moved))
	for range 3 {
		f.line("x")
		f.Reopen()
	}
	closed(t, f)
	got := lines(t, filepath.Join(moved, "log"))
	checktest.Equalf(t, len(got), 3, "%q", got)
	checktest.Equalf(t, len(told), 1, "times told")
}

func TestLineAboveTheLimitGetsItsOwnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, Options{Path: path, MaxSize: 10, Keep: 9})
	for _, n := range []int{3, 30, 4, 4} {
		f.line("%s", strings.Repeat("x", n))
	}
	closed(t, f)
	settled(t, path)
	a, b, c := lines(t, path+".2.gz"), lines(t, path+".1.gz"), lines(t, path)
	checktest.Truef(t, len(a) == 1 && len(b) == 1 && len(c) == 2, "%q %q %q", a, b, c)
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
	err := f.Close()
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), " 2 lines not written"), "close: %v", err)
}

func TestAppendNeverWaitsAndLossesAreReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	checktest.Must(t, syscall.Mkfifo(path, 0o600))
	reader := checktest.Try(os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)).Must(t)
	defer reader.Close()
	told := make(chan string, 100)
	f := open(t, Options{Path: path, Report: func(msg string) { told <- msg }})
	line := strings.Repeat("u", 8000)
	sent := 0
	for f.Dropped() < 10 {
		f.line("%s", line)
		sent++
	}
	held := sent * 8000
	checktest.Truef(t, held <= 3*memoryMax, "%d bytes were taken", held)

	// When the reader reads again, it receives the complete buffered lines, and the dropped lines are reported.
	var got bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		got.ReadFrom(reader)
	}()
	msg := <-told
	checktest.Truef(t, strings.Contains(msg, "lines lost") && !strings.Contains(msg, "\n"), "report: %q", msg)
	closed(t, f)
	<-read
	want := strings.Repeat(line+"\n", sent-int(f.Dropped()))
	checktest.Equalf(t, got.String(), want, "%d bytes arrived, not the %d of whole lines", got.Len(), len(want))
}

func TestPipeGetsCompleteLines(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"a\n", "a\n"},
		{"aaa\nbbb\n", "aaa\nbbb\n"},
		{"aaa\nbbbb\n", "aaa\n"},
		{"aaaaaaaaaaaaa\nb\n", "aaaaaaaaaaaaa\n"},
		{"rest of a cut line\nb\n", "rest of a cut line\n"},
	} {
		checktest.Equalf(t, string(firstLines([]byte(c.lines), 8)), c.want, "%q", c.lines)
	}
}
