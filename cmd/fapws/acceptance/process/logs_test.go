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
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// logLines returns the lines of a log and its rotated files, the oldest line first. Rotated files may be compressed.
// Every file must end with a complete line.
func logLines(t *testing.T, path string) []string {
	t.Helper()
	return fapwstest.Try(readLog(path)).Must(t)
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

// hasEachOnce fails unless n different lines match pattern, and each of them is there once. If pattern has a group,
// lines with the same group are the same.
func hasEachOnce(t *testing.T, lines []string, pattern string, n int) {
	t.Helper()
	seen, whole := map[string]bool{}, regexp.MustCompile(pattern)
	for _, line := range lines {
		if match := whole.FindStringSubmatch(line); match != nil {
			key := match[len(match)-1]
			fapwstest.Truef(t, !seen[key], "%q is there twice", key)
			seen[key] = true
		}
	}
	fapwstest.Equal(t, len(seen), n)
}

func TestErrorLogIsRotatedWithoutLosingLines(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/error_log"
	c := fapwstest.Command{Script: "logs.py", Flags: []string{"--error-log", name, "--log-max-size", "50K",
		"--log-keep", "1000"}}
	s := c.Serve(t, fapwstest.Workers)
	const each = 1000
	rounds := 0
	// A worker that has not noticed the last rotation yet writes to the old file.
	fapwstest.Eventually(t, "the log is rotated twice", func() bool {
		s.Get(fmt.Sprintf("/many?%d,round%d", each, rounds), 200)
		rounds++
		time.Sleep(20 * time.Millisecond)
		rotated, _ := filepath.Glob(name + ".*[0-9z]")
		return len(rotated) >= 2
	})
	s.Stop()
	// At the next start, the server completes a compression that was interrupted, even if both the rotated file and its
	// .gz file exist.
	s = c.Serve(t, fapwstest.Workers)
	compressed(t, name)
	s.Stop()
	hasEachOnce(t, logLines(t, name), `^(round\d+ \d{6}) of \d+ x{60}$`, rounds*each)
}

func TestAccessLogIsRotatedWithoutLosingLines(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/access_log"
	s := fapwstest.Serve(t, fapwstest.Mode{Name: "workers", Flags: []string{"--workers", "3"}}, "logs.py", "--access-log",
		name, "--access-log-format", "common", "--log-max-size", "60K", "--log-keep", "10000")
	const clients, each = 6, 2000
	fapwstest.AtOnce(clients, func(c int) {
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
	s.Stop()
	left, _ := filepath.Glob(name + ".rotated-*")
	// The server has stopped during the compression, so the next process compresses the file.
	if len(left) > 0 {
		next := fapwstest.Serve(t, fapwstest.Threads, "logs.py", "--access-log", name, "--log-keep", "10000")
		compressed(t, name)
		next.Stop()
	}
	lines := logLines(t, name)
	fapwstest.Equal(t, len(lines), clients*each)
	hasEachOnce(t, lines, `^127\.0\.0\.1 - - \[[^]]+\] "GET (/c\d/n\d{5})\?y* HTTP/1\.1" 200 2$`, clients*each)
	files, _ := filepath.Glob(name + ".*.gz")
	fapwstest.Truef(t, len(files) >= 10, "rotated %d times", len(files))
	for _, f := range files {
		st, err := os.Stat(f)
		fapwstest.Truef(t, err == nil && st.Size() != 0, "%s: %v", f, err)
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
			log := fapwstest.Try(os.OpenFile(name, os.O_RDWR, 0)).Must(t)
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
			fapwstest.Truef(t, line == "" || (strings.HasPrefix(line, "127.0.0.1 - - [") &&
				strings.HasSuffix(line, `" 200 2 "-" "-"`)), "a cut line: %.200q", line)
		}
		said := strings.Count(s.Stderr.String(), "keeping lines in memory")
		again := strings.Count(s.Stderr.String(), "can be written again")
		fapwstest.Truef(t, said <= again+len(s.Handlers()), "said %d times, and %d times that it was over", said, again)
	})
}

// logrotate renames the files and sends USR1. "fapws ctl rotate" renames the files itself, and compresses them at once.
func TestLogrotateMayRenameOrCopyTheFile(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/access_log"
	errors := t.TempDir() + "/error_log"
	s := fapwstest.Serve(t, fapwstest.Threads, "logs.py", "--access-log", name, "--log-flush", "10ms", "--error-log",
		errors)
	s.Get("/one", 200)
	fapwstest.FileSays(t, name, "/one")
	s.Get("/printed?one", 200)
	fapwstest.FileSays(t, errors, " one\n")
	fapwstest.Must(t, os.Chmod(name, 0o604), os.Rename(name, name+"-old"), os.Rename(errors, errors+"-old"))
	s.Signal(syscall.SIGUSR1)
	fapwstest.Eventually(t, "a new file", func() bool { return fapwstest.Exists(name) })
	fapwstest.Eventually(t, "lines in the new error log", func() bool {
		s.Get("/printed?two", 200)
		return strings.Contains(fapwstest.TextOf(t, errors), " two\n")
	})
	s.Get("/two", 200)
	fapwstest.FileSays(t, name, "/two")
	fapwstest.Equalf(t, fapwstest.Try(os.Stat(name)).Must(t).Mode().Perm(), 0o604, "mode of the new file")
	fapwstest.Must(t, os.Truncate(name, 0))
	s.Get("/three", 200)
	fapwstest.FileSays(t, name, "/three")
	text := fapwstest.Read(t, name)
	fapwstest.Truef(t, strings.HasPrefix(text, "127.0.0.1 ") && strings.Count(text, "\n") == 1, "%q", text)
	fapwstest.Equal(t, s.Control("rotate"), "rotated\n")
	s.Get("/four", 200)
	fapwstest.FileSays(t, name, "/four")
	compressed(t, name)
	lines := logLines(t, name)
	fapwstest.Equalf(t, len(lines), 2, "after ctl rotate: %q", lines)
	fapwstest.Lacks(t, fapwstest.TextOf(t, name), "/three")
}

// Lines stay in the buffer for --log-flush, here an hour. The server writes them earlier if the buffer is full, the
// logs are reopened or the server stops.
func TestLogLinesAreBufferedForLogFlush(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name := t.TempDir() + "/access_log"
		s := fapwstest.Serve(t, m, "logs.py", "--access-log", name, "--log-flush", "1h")
		s.Get("/first", 200)
		time.Sleep(50 * time.Millisecond)
		fapwstest.Equalf(t, fapwstest.TextOf(t, name), "", "written at once")
		s.Signal(syscall.SIGUSR1)
		fapwstest.FileSays(t, name, "/first")
		for range 240 { // 48 KiB for each of two workers, more than the buffer
			s.Get("/more?"+strings.Repeat("x", 400), 200)
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
			script := fapwstest.Write(t, folder+"/logs.py", fapwstest.Source(t, "logs.py"))
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
			fapwstest.Truef(t, !open || len(rotated) != 0, "nothing was rotated: %s", errors)
			fapwstest.Truef(t, bytes.Contains(errors, []byte("printed by")), "error log: %s", errors)
			said := bytes.Count(errors, []byte("not rotated"))
			if open {
				fapwstest.Equalf(t, said, 0, "%s", errors)
			} else {
				fapwstest.Truef(t, said == 1 || said == 2, "said %d times: %s", said, errors)
				fapwstest.Equalf(t, len(logLines(t, logs+"/access_log")), 101, "lines")
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
	file := fapwstest.Write(t, folder+"/files/a b.txt", "file")
	s := fapwstest.Serve(t, fapwstest.Threads, "logs.py", "--access-log", folder+"/log", "--static", "/files/="+folder+
		"/files", "--access-log-format", "%m %U %>s %I %O %k %{Content-Length}o %{X-Said}o %{Content-Type}o %{Date}o %R "+
		"%f %{remote}p %{pid}P %V")
	var want []string
	for _, c := range []struct{ method, target, path, length, kind, source string }{
		{"GET", "/", "/", "2", "html", "application -"},
		{"HEAD", "/", "/", "2", "html", "application -"},
		{"GET", "/files/a%20b.txt", "/files/a b.txt", "4", "plain", "files " + file},
	} {
		w := s.Dial()
		request := fapwstest.Request(c.method, c.target, "", "Connection: close")
		w.Send(request)
		response := w.Rest()
		date := regexp.MustCompile(`Date: (.*)\r`).FindStringSubmatch(response)[1]
		want = append(want, fmt.Sprintf("%s %s 200 %d %d 0 %s - text/%s; charset=utf-8 %s %s %d %d test", c.method, c.path,
			len(request), len(response), c.length, c.kind, date, c.source, w.LocalAddr().(*net.TCPAddr).Port, s.Cmd.Process.Pid))
	}
	s.Stop()
	fapwstest.Equal(t, strings.Join(logLines(t, folder+"/log"), "\n"), strings.Join(want, "\n"))
}

// The clients disconnect while their handlers still run, so the server does not know the end of their responses.
func TestClientThatHasTheWholeBodyHasNotAbortedTheResponse(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Serve(t, fapwstest.Threads, "bodies.py", "--access-log", folder+"/log", "--access-log-format", "%U %X")
	for _, path := range []string{"/chunked", "/large", "/short", "/sized"} {
		w := s.DialGet(path)
		fapwstest.Try(io.ReadFull(w.Head("GET").Body, make([]byte, 5))).Must(t)
		w.Reset()
	}
	s.Stop()
	lines := logLines(t, folder+"/log")
	slices.Sort(lines)
	fapwstest.Equal(t, strings.Join(lines, "; "), "/chunked X; /large X; /short X; /sized +")
}
