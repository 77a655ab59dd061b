package accesslog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func entry(agent string) *Entry {
	return &Entry{Addr: "127.0.0.1", Time: noon, RequestLine: []byte("GET / HTTP/1.1"), Status: 200, BytesSent: 5, UserAgent: []byte(agent), Duration: time.Millisecond}
}

func open(t *testing.T, path string) *Log {
	t.Helper()
	l, err := openEvery(path, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	if b[len(b)-1] != '\n' {
		t.Fatalf("the last line is cut: %q", b)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// eventually waits for something another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCloseWritesEverythingInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	const n = 5000 // far more than one buffer
	for i := range n {
		l.Append(entry(fmt.Sprint("agent ", i)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := lines(t, path)
	if len(got) != n {
		t.Fatalf("%d lines", len(got))
	}
	for i, line := range got {
		if !strings.HasSuffix(line, fmt.Sprintf(`"agent %d" 1000`, i)) {
			t.Fatalf("line %d: %s", i, line)
		}
	}
	l.Append(entry("too late"))
	if l.Dropped() != 1 {
		t.Errorf("dropped: %d", l.Dropped())
	}
}

func TestOneLineArrivesWithoutClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	for i := 1; i <= 2; i++ { // the second time the writer has slept
		l.Append(entry("x"))
		eventually(t, "a line", func() bool { return len(lines(t, path)) == i })
	}
}

func TestFileIsAppendedToAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for i := range 2 {
		l := open(t, path)
		l.Append(entry("x"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
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
		l, err := Open(path)
		if err == nil {
			l.Close()
			t.Errorf("%q opened", path)
			continue
		}
		if msg := err.Error(); strings.Contains(msg, "\n") || !strings.HasPrefix(msg, "access log: ") {
			t.Errorf("%q: %q", path, msg)
		}
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "log"), filepath.Join(dir, "log.1")
	l := open(t, path)
	l.Append(entry("before"))
	eventually(t, "the first line", func() bool { return len(lines(t, path)) == 1 })
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the last one counts, the others are closed
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	l.Append(entry("after"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, old); len(got) != 1 || !strings.Contains(got[0], "before") {
		t.Errorf("old file: %q", got)
	}
	if got := lines(t, path); len(got) != 1 || !strings.Contains(got[0], "after") {
		t.Errorf("new file: %q", got)
	}
}

func TestReopenThatFailsKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, filepath.Join(sub, "log"))
	moved := filepath.Join(dir, "moved")
	if err := os.Rename(sub, moved); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("no error")
	}
	l.Append(entry("x"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, filepath.Join(moved, "log")); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestLinesOfManyGoroutinesAndProcessesStayWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logs := []*Log{open(t, path), open(t, path)} // as two processes have it
	var group sync.WaitGroup
	const goroutines, each = 8, 500
	for g := range goroutines {
		group.Go(func() {
			for range each {
				logs[g%2].Append(entry(strings.Repeat(string(rune('a'+g)), 100)))
			}
		})
	}
	group.Wait()
	for _, l := range logs {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	count := map[string]int{}
	for _, line := range lines(t, path) {
		count[line]++
	}
	if len(count) != goroutines {
		t.Errorf("%d different lines", len(count))
	}
	for line, n := range count {
		if n != each {
			t.Errorf("%d times %s", n, line)
		}
	}
}

// A pipe that nobody reads is a disk that never answers.
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
	l := open(t, path)
	told := make(chan string, 100)
	l.Report = func(msg string) { told <- msg }
	e := entry(strings.Repeat("u", 8000))
	sent := 0
	for l.Dropped() < 10 {
		l.Append(e)
		sent++
	}
	if held := sent * 8000; held > 3*bufferMax {
		t.Errorf("%d bytes were taken", held)
	}

	// The reader comes back: what was kept arrives whole, the loss is told.
	var got bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		got.ReadFrom(reader)
	}()
	if msg := <-told; !strings.Contains(msg, "lines lost") || strings.Contains(msg, "\n") {
		t.Errorf("report: %q", msg)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	<-read
	var stamp timestamp
	want := bytes.Repeat(e.appendLine(nil, &stamp), sent-int(l.Dropped()))
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes arrived, not the %d of whole lines", got.Len(), len(want))
	}
}

func TestFullDiskIsReportedAndLivedWith(t *testing.T) {
	l := open(t, "/dev/full") // every write: no space left on device
	told := make(chan string, 100)
	l.Report = func(msg string) { told <- msg }
	l.Append(entry("x"))
	if msg := <-told; !strings.Contains(msg, "no space left on device") {
		t.Errorf("report: %q", msg)
	}
	l.Append(entry("y"))
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "2 lines not written") {
		t.Errorf("close: %v", err)
	}
}

// A line that was cut by a full disk is completed when there is room.
func TestCutLineIsCompleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	out, err := openSink(path)
	if err != nil {
		t.Fatal(err)
	}
	var stamp timestamp
	first, second := entry("a").appendLine(nil, &stamp), entry("b").appendLine(nil, &stamp)
	both := append(append([]byte(nil), first...), second...)
	cut := len(first) + 10
	if _, err := out.write(both[:cut]); err != nil {
		t.Fatal(err)
	}
	l := &Log{path: path}
	w := &writer{log: l, out: out, pending: both, written: cut}
	t.Run("in the same file", func(t *testing.T) {
		w.flush()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, both) {
			t.Errorf("%v %q", err, got)
		}
	})
	t.Run("or goes whole to the next", func(t *testing.T) {
		next := filepath.Join(t.TempDir(), "log")
		if l.reopened, err = openSink(next); err != nil {
			t.Fatal(err)
		}
		w.pending, w.written = both, cut
		w.flush()
		if got, err := os.ReadFile(next); err != nil || !bytes.Equal(got, second) {
			t.Errorf("%v %q", err, got)
		}
	})
	w.out.close()
}

func TestPiecesForAPipe(t *testing.T) {
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

func TestAppendDoesNotAllocate(t *testing.T) {
	l := open(t, "/dev/null")
	e := entry("Mozilla/5.0 (X11; Linux x86_64)")
	for range 2000 { // both buffers reach their size
		l.Append(e)
	}
	if n := testing.AllocsPerRun(5000, func() { l.Append(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
