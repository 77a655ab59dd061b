package http_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestClientInputCannotInjectFieldsOrResponses(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "headers.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, where := range []string{"value", "name", "status", "added", "cookie"} {
		for _, what := range []string{"cr", "lf", "crlf", "nul"} {
			got := s.DialSend(fapwstest.Get("/"+where+"?"+what, "Connection: close")).Rest()
			fapwstest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 500 ") && !strings.Contains(got, "Injected") &&
				!strings.Contains(got, "\x00") && strings.Count(got, "HTTP/1.") == 1, "%s with %s: %q", where, what, got)
		}
	}
}

func TestResponsesHaveDateAndServerUnlessTheHandlerSetsThem(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "headers.py")
	a := s.Get("/", 200).Field(t, "Server", "fapws")
	date, err := http.ParseTime(a.Header.Get("Date"))
	off := time.Since(date).Abs()
	fapwstest.Truef(t, err == nil && off <= time.Minute, "Date %q: %v, off by %v", a.Header.Get("Date"), err, off)
	s.Ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").Want(t, 204).Field(t, "Allow",
		"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	s.Get("/own", 200).Field(t, "Server", "mine", "Date", "Thu, 01 Jan 1970 00:00:00 GMT")
	for _, target := range []string{"/nothing-here", "/own?"} {
		a := s.Ask("GET " + target + " HTTP/1.1\r\n\r\n")
		fapwstest.Truef(t, a.Header.Get("Date") != "" && a.Header.Get("Server") != "", "%q has no Date or Server", a.Header)
	}
}

func TestResponseToHEADIsTheResponseToGETWithoutTheBody(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "returns.py")
		for _, path := range []string{"/str", "/bytes", "/list", "/dict", "/typed", "/file", "/html", "/bytesio",
			"/generator", "/written", "/nothing"} {
			head := func(method string) string {
				w := s.DialSend(fapwstest.Request(method, path, "", "Connection: close"))
				head, body, _ := strings.Cut(w.Rest(), "\r\n\r\n")
				fapwstest.Truef(t, method != "HEAD" || body == "", "HEAD %s has the body %q", path, body)
				var lines []string
				for _, line := range strings.Split(head, "\r\n") {
					if !strings.HasPrefix(line, "Date: ") {
						lines = append(lines, line)
					}
				}
				return strings.Join(lines, "\n")
			}
			fapwstest.Equalf(t, head("HEAD"), head("GET"), "%s: HEAD and GET", path)
		}
	})
}

func TestStatusThatClientsDoNotUnderstandIsAHandlerError(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "headers.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, status := range []string{"abc", "99", "1000", "100", "101", "103", "", "-200", "2%300"} {
		s.Get("/code?"+status, 500)
	}
}

// The test does not run inline. Inline, the thread of the event loop runs close(), so no response can be sent until
// close() returns.
func TestResponseDoesNotWaitForCloseOfItsIterable(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "closing.py")
	w := s.Dial()
	for range 100 {
		w.Fetch("/answer").Is(t, "answer")
	}
	w.Fetch("/answer?waits").Is(t, "answer")
	s.Get("/release", 200).Is(t, "released")
}

func TestCloseOfAResultIsAlwaysCalled(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := fapwstest.ServeSlow(t, m)
		closes := func(w *fapwstest.Client) { w.Close() }
		for _, c := range []struct {
			name, path string
			leave      func(*fapwstest.Client)
		}{
			{"reset in a stream", "/endless?1000", (*fapwstest.Client).Reset},
			{"closed in a stream", "/endless?1000", closes},
			{"closed in large blocks", "/endless?1000000", closes},
			{"reset in a slow stream", "/ticks", (*fapwstest.Client).Reset},
			{"closed in a slow stream", "/ticks", closes},
			{"half-closed in a slow stream", "/ticks", func(w *fapwstest.Client) { _ = w.Conn.(*net.TCPConn).CloseWrite() }},
		} {
			t.Log(c.name)
			w := s.DialGet(c.path)
			fapwstest.Try(io.ReadFull(w.Head("GET").Body, make([]byte, 5))).Must(t)
			c.leave(w)
			fapwstest.FileSays(t, folder+"/closed", "yes")
			fapwstest.Must(t, os.Remove(folder+"/closed"))
			s.Get("/", 200).Is(t, "quick")
		}
		w := s.Dial() // the last client leaves before the head
		w.Get("/wait")
		fapwstest.FileSays(t, folder+"/entered", "yes")
		w.Get("/endless?10")
		w.Reset()
		fapwstest.Write(t, folder+"/go", "")
		s.Get("/", 200).Is(t, "quick")
	})
}

func TestFilesAreSentCompletelyWithoutSendfile(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOSYS, syscall.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			large, small := random(3_000_000), random(100_000)
			fapwstest.Write(t, filepath.Join(dir, "large.bin"), large)
			fapwstest.Write(t, filepath.Join(dir, "small.bin"), small)
			script := fapwstest.Write(t, filepath.Join(dir, "app.py"), `
def opened(environ, start_response):
    return open("large.bin", "rb")


PATHS = [("/opened", opened)]
`)
			s := fapwstest.Command{
				Script: script, Dir: dir, Flags: []string{"--static", "/files=" + dir},
				Shell: fapwstest.Refusing(t, fmt.Sprintf("%d=%d", syscall.SYS_SENDFILE, errno)),
			}.Serve(t, fapwstest.Threads)
			for range 2 {
				for path, want := range map[string]string{"/files/large.bin": large, "/files/small.bin": small, "/opened": large} {
					fapwstest.Equalf(t, s.Get(path, 200).Text, want, "%s", path)
				}
			}
			line := "sendfile: " + errno.Error() + "; reading files and sending them instead"
			fapwstest.Equalf(t, strings.Count(s.Stderr.String(), line), 1, "lines")
		})
	}
}

func TestFileThatCannotBeReadWhileItIsSentIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, filepath.Join(dir, "large.bin"), random(100_000))
	script := fapwstest.Write(t, filepath.Join(dir, "app.py"), `
import io
import os


def written(environ, start_response):
    return io.FileIO(os.open("large.bin", os.O_WRONLY), "w")


PATHS = [("/written", written)]
`)
	s := fapwstest.Command{Script: script, Dir: dir}.Serve(t, fapwstest.Threads)
	w := s.DialGet("/written")
	s.Says("response aborted: cannot read the file: bad file descriptor")
	w.Reset()
}
