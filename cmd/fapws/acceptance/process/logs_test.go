package process_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// logLines returns the lines of a log and its rotated files, the oldest line first. Rotated files may be compressed.
// Every file must end with a complete line.
func logLines(t *testing.T, path string) []string {
	t.Helper()
	lines, err := readLog(path)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// readLog is like logLines, but may return an error, because the log may be written or rotated at the same time.
func readLog(path string) (lines []string, err error) {
	if left, _ := filepath.Glob(path + ".rotated-*"); len(left) > 0 {
		return nil, fmt.Errorf("%q are not compressed yet", left)
	}
	names := []string{path}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.%d.gz", path, n)
		if _, err := os.Stat(name); err != nil {
			break
		}
		names = append(names, name)
	}
	slices.Reverse(names)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil && strings.HasSuffix(name, ".gz") {
			var z *gzip.Reader
			if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
				b, err = io.ReadAll(z)
			}
		}
		if err != nil {
			return nil, err
		}
		if len(b) > 0 && b[len(b)-1] != '\n' {
			return nil, fmt.Errorf("%s ends with a cut line: %q", name, b[max(0, len(b)-80):])
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	return lines, nil
}

func compressed(t *testing.T, path string) {
	t.Helper()
	fapwstest.Eventually(t, "rotated logs compressed", func() bool {
		left, _ := filepath.Glob(path + ".rotated-*")
		return len(left) == 0
	})
}

func TestErrorLogIsRotatedWithoutLosingLines(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/error_log"
	c := fapwstest.Command{Script: "logs.py", Flags: []string{"--error-log", name, "--log-max-size", "50K",
		"--log-keep", "1000"}}
	s := c.Serve(t, fapwstest.Workers)
	const each = 1000
	rotated := func() int {
		got, _ := filepath.Glob(name + ".*[0-9z]")
		return len(got)
	}
	rounds := 0
	for late := time.Now().Add(fapwstest.Patience); rotated() < 2; {
		s.Get(fmt.Sprintf("/many?%d,round%d", each, rounds), 200)
		rounds++
		before := rotated()
		// A worker that has not noticed the last rotation yet writes to the old file.
		for end := time.Now().Add(time.Second); rotated() == before && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		if time.Now().After(late) {
			t.Fatal("it is not rotated")
		}
	}
	s.Stop()
	// At the next start, the server completes a compression that was interrupted, even if both the rotated file and its
	// .gz file exist.
	s = c.Serve(t, fapwstest.Workers)
	compressed(t, name)
	s.Stop()
	count := map[string]int{}
	lines := logLines(t, name)
	for _, line := range lines {
		if match := regexp.MustCompile(`^(round\d+ \d{6}) of \d+ x{60}$`).FindStringSubmatch(line); match != nil {
			count[match[1]]++
		}
	}
	for round := range rounds {
		for n := range each {
			if key := fmt.Sprintf("round%d %06d", round, n); count[key] != 1 {
				t.Fatalf("%q is there %d times of %d lines", key, count[key], len(lines))
			}
		}
	}
}

func TestAccessLogIsRotatedWithoutLosingLines(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/access_log"
	s := fapwstest.Serve(t, fapwstest.Mode{Name: "workers", Flags: []string{"--workers", "3"}}, "logs.py",
		"--access-log", name, "--access-log-format", "common", "--log-max-size", "100K", "--log-keep", "10000",
		"--log-buffer", "2K")
	const clients, each = 6, 3000
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for from := 0; from < each; from += 20 {
				w := s.Dial()
				for n := range 20 {
					w.Get(fmt.Sprintf("/c%d/n%05d?%s", c, from+n, strings.Repeat("y", n)))
				}
				for range 20 {
					w.Answer().Is(t, "ok")
				}
				w.Close()
			}
		})
	}
	group.Wait()
	s.Stop()
	left, _ := filepath.Glob(name + ".rotated-*")
	// The server has stopped during the compression, so the next process compresses the file.
	if len(left) > 0 {
		next := fapwstest.Serve(t, fapwstest.Threads, "logs.py", "--access-log", name, "--log-keep", "10000")
		compressed(t, name)
		next.Stop()
	}
	whole := regexp.MustCompile(`^127\.0\.0\.1 - - \[[^]]+\] "GET /(c\d)/n(\d{5})\?(y*) HTTP/1\.1" 200 2$`)
	seen := map[string]int{}
	for _, line := range logLines(t, name) {
		match := whole.FindStringSubmatch(line)
		if match == nil {
			t.Fatalf("%q", line)
		}
		if n, _ := strconv.Atoi(match[2]); len(match[3]) != n%20 {
			t.Fatalf("%q", line)
		}
		seen[match[1]+match[2]]++
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", key, n)
		}
	}
	if len(seen) != clients*each {
		t.Errorf("%d lines of %d", len(seen), clients*each)
	}
	files, _ := filepath.Glob(name + ".*.gz")
	if len(files) < 10 {
		t.Errorf("rotated %d times", len(files))
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// When the disk has space again, the server writes waiting lines and the number of lost lines.
func TestFullDiskOfTheAccessLogIsReportedOnce(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name := t.TempDir() + "/access_log"
		c := fapwstest.Command{Script: "logs.py", Flags: []string{"--access-log", name, "--log-max-size", "0",
			"--log-flush", "5ms"},
			// Files are limited to 20 blocks, which are 10 or 20 KiB, to simulate a full disk.
			Shell: "ulimit -f 20"}
		s := c.Serve(t, m)
		request := func(n int) {
			w := s.Dial()
			w.Fetch(fmt.Sprintf("/%04d%s", n, strings.Repeat("x", 500))).Is(t, "ok")
			w.Close()
		}
		for n := range 100 {
			request(n)
		}
		s.Says(`access_log: .*(file too large|no space).*; keeping lines in memory while possible`)
		request(100)
		var got []string
		empty := func() {
			log, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			// The lock ensures that no process removes an incomplete line meanwhile.
			_ = syscall.Flock(int(log.Fd()), syscall.LOCK_EX)
			got = append(got, logLines(t, name)...)
			_ = os.Truncate(name, 0)
		}
		empty()
		got = nil
		fapwstest.Eventually(t, "the lines that were kept", func() bool {
			empty()
			if m.Workers() {
				return strings.Contains(s.Stderr.String(), "can be written again")
			}
			return slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, "/0100x") })
		})
		s.Says(`access_log: can be written again, 0 lines were lost`)
		for _, line := range got {
			if line != "" && (!strings.HasPrefix(line, "127.0.0.1 - - [") ||
				!strings.HasSuffix(line, `" 200 2 "-" "-"`)) {
				t.Errorf("a cut line: %.200q", line)
			}
		}
		said := strings.Count(s.Stderr.String(), "keeping lines in memory")
		again := strings.Count(s.Stderr.String(), "can be written again")
		if processes := len(s.Handlers()); said > again+processes {
			t.Errorf("said %d times, and %d times that it was over", said, again)
		}
	})
}

// logrotate renames the file and sends USR1. "fapws ctl rotate" renames the file itself, and compresses it at once.
func TestLogrotateMayRenameOrCopyTheFile(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/access_log"
	s := fapwstest.Serve(t, fapwstest.Threads, "logs.py", "--access-log", name, "--log-flush", "10ms")
	s.Get("/one", 200)
	fapwstest.FileSays(t, name, "/one")
	fapwstest.Must(t, os.Chmod(name, 0o604), os.Rename(name, name+"-old"))
	s.Signal(syscall.SIGUSR1)
	fapwstest.Eventually(t, "a new file", func() bool { _, err := os.Stat(name); return err == nil })
	s.Get("/two", 200)
	fapwstest.FileSays(t, name, "/two")
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o604 {
		t.Errorf("the new file has mode %v, %v", st.Mode(), err)
	}
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	s.Get("/three", 200)
	fapwstest.FileSays(t, name, "/three")
	text, err := os.ReadFile(name)
	if err != nil || !bytes.HasPrefix(text, []byte("127.0.0.1 ")) || bytes.Count(text, []byte("\n")) != 1 {
		t.Errorf("%v %q", err, text)
	}
	if stdout := s.Control("rotate"); stdout != "rotated\n" {
		t.Errorf("ctl rotate: %q", stdout)
	}
	s.Get("/four", 200)
	fapwstest.FileSays(t, name, "/four")
	compressed(t, name)
	if lines := logLines(t, name); len(lines) != 2 || strings.Contains(textOf(t, name), "/three") {
		t.Errorf("after ctl rotate: %q", lines)
	}
}

// Lines stay in the buffer for --log-flush, here an hour. The server writes them earlier if the buffer is full, the
// logs are reopened or the server stops.
func TestLogLinesAreBufferedForLogFlush(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name := t.TempDir() + "/access_log"
		s := fapwstest.Serve(t, m, "logs.py", "--access-log", name, "--log-flush", "1h", "--log-buffer", "1K")
		s.Get("/first", 200)
		time.Sleep(50 * time.Millisecond)
		if text, _ := os.ReadFile(name); len(text) > 0 {
			t.Errorf("written at once: %q", text)
		}
		s.Signal(syscall.SIGUSR1)
		fapwstest.FileSays(t, name, "/first")
		for range 40 {
			s.Get("/more", 200)
		}
		fapwstest.FileSays(t, name, "/more")
		s.Get("/last", 200)
		s.Stop()
		fapwstest.FileSays(t, name, "/last")
	})
}

// If the directory of the log belongs to root, the server may not rename files there. The server reports this once, and
// continues to write to the same file.
func TestLogsAreRotatedAfterRootIsGivenUp(t *testing.T) {
	if os.Geteuid() != 0 {
		fapwstest.Command{Script: "logs.py", Flags: []string{"--user", "0"}}.Fails(t, 2, "only root can")
		return
	}
	for _, open := range []bool{true, false} {
		t.Run(fmt.Sprintf("open %v", open), func(t *testing.T) {
			t.Parallel()
			folder := fapwstest.PublicFolder(t)
			logs := folder + "/logs"
			fapwstest.Must(t, os.Mkdir(logs, 0o755))
			if open {
				fapwstest.Must(t, os.Chown(logs, 65534, 65534))
			}
			source := fapwstest.Source(t, "logs.py")
			script := fapwstest.Write(t, folder+"/logs.py", source)
			s := fapwstest.Command{Script: script, Dir: folder, Flags: []string{"--user", "65534", "--group", "65534",
				"--workers", "2", "--log-max-size", "5K", "--log-flush", "5ms",
				"--access-log", logs + "/access_log", "--error-log", logs + "/error_log"}}.ForOtherUsers(t).Serve(t,
				fapwstest.Mode{})
			for n := range 100 {
				s.Get(fmt.Sprintf("/%d%s", n, strings.Repeat("x", 100)), 200)
			}
			s.Get("/printed?x", 200)
			s.Stop()
			rotated, _ := filepath.Glob(logs + "/access_log.*")
			errors, _ := os.ReadFile(logs + "/error_log")
			if open && len(rotated) == 0 {
				t.Errorf("nothing was rotated: %s", errors)
			}
			if !bytes.Contains(errors, []byte("printed by")) {
				t.Errorf("error log: %s", errors)
			}
			said := bytes.Count(errors, []byte("not rotated"))
			if open && said > 0 || !open && (said == 0 || said > 2) {
				t.Errorf("said %d times: %s", said, errors)
			}
			if !open && len(logLines(t, logs+"/access_log")) != 101 {
				t.Errorf("%d lines", len(logLines(t, logs+"/access_log")))
			}
		})
	}
}

func TestAccessLogCannotBeTheErrorLog(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/log"
	c := fapwstest.Command{Flags: []string{"--bind", "127.0.0.1:0", "--access-log", name, "--error-log", name},
		Script: "logs.py"}
	c.Fails(t, 3, "fapws: cannot write the access log: "+name+" is the error log\n")
}

// The atoms are parts of the log format, such as %I and %O for all bytes received and sent, including heads and chunk
// headers, %{NAME}o for a header field of the response, and %f for the file name.
func TestLogAtomsHaveFactsThatOnlyTheServerKnows(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.Write(t, folder+"/files/a b.txt", "file")
	s := fapwstest.Serve(t, fapwstest.Threads, "logs.py", "--access-log", folder+"/log", "--static", "/files/="+folder+
		"/files",
		"--access-log-format", "%m %U %>s %I %O %k %X %{Content-Length}o %{X-Said}o %{Content-Type}o %{Date}o %R %f "+
			"%{remote}p %{pid}P %V")
	w := s.Dial()
	var want []string
	ask := func(request, method, rest string) {
		w.Send(request)
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := w.In.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			head += line
		}
		length, _ := strconv.Atoi(regexp.MustCompile(`Content-Length: (\d+)`).FindStringSubmatch(head)[1])
		date := regexp.MustCompile(`Date: (.*)\r`).FindStringSubmatch(head)[1]
		if method == "HEAD" {
			length = 0
		}
		io.CopyN(io.Discard, w.In, int64(length))
		_, path, _ := strings.Cut(strings.SplitN(request, " HTTP", 2)[0], " ")
		path = strings.ReplaceAll(path, "%20", " ")
		port := w.LocalAddr().(*net.TCPAddr).Port
		rest = strings.NewReplacer("DATE", date, "PORT", strconv.Itoa(port)).Replace(rest)
		want = append(want, fmt.Sprintf("%s %s 200 %d %d %d + %s", method, path, len(request), len(head)+length,
			len(want), rest))
	}
	ask(fapwstest.Get("/"), "GET", "2 - text/html; charset=utf-8 DATE application - PORT PID test")
	ask(fapwstest.Request("POST", "/", "body"), "POST", "2 - text/html; charset=utf-8 DATE application - PORT PID test")
	ask(fapwstest.Request("HEAD", "/", ""), "HEAD", "2 - text/html; charset=utf-8 DATE application - PORT PID test")
	file := "4 - text/plain; charset=utf-8 DATE files " + folder + "/files/a b.txt PORT PID test"
	ask(fapwstest.Get("/files/a%20b.txt"), "GET", file)
	ask(fapwstest.Get("/files/a%20b.txt"), "GET", file)
	w.Close()
	s.Stop()
	pid := regexp.MustCompile(` \d+ test$`)
	for i, line := range logLines(t, folder+"/log") {
		if line = pid.ReplaceAllString(line, " PID test"); i >= len(want) || line != want[i] {
			t.Errorf("%q, not %q", line, want[min(i, len(want)-1)])
		}
	}
}

// The clients disconnect while their handlers still run, so the server does not know the end of their responses.
func TestClientThatHasTheWholeBodyHasNotAbortedTheResponse(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/app.py", `
import time

class Body:
    def __init__(self, pieces, disconnected):
        self.pieces, self.disconnected = pieces, disconnected

    def __iter__(self):
        return iter(self.pieces)

    def close(self):
        while not self.disconnected():
            time.sleep(0.01)

def application(environ, start_response):
    bodies = {"/sized": (5, 5), "/large": (1 << 24, 1 << 24), "/short": (5, 6), "/chunked": (5, 0)}
    size, length = bodies[environ["PATH_INFO"]]
    start_response("200 OK", [("Content-Length", str(length))] * (length > 0))
    return Body([b"x" * size], environ["fapws.disconnected"])
`)
	s := fapwstest.Serve(t, fapwstest.Threads, script, "--access-log", folder+"/log", "--access-log-format", "%U %X")
	for _, path := range []string{"/chunked", "/large", "/short", "/sized"} {
		w := s.Dial()
		w.Get(path)
		_, err := io.ReadFull(w.Head("GET").Body, make([]byte, 5))
		fapwstest.Must(t, err)
		w.Reset()
	}
	s.Stop()
	lines := logLines(t, folder+"/log")
	slices.Sort(lines)
	if got := strings.Join(lines, "; "); got != "/chunked X; /large X; /short X; /sized +" {
		t.Error(got)
	}
}
