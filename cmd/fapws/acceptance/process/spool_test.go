package process_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
	"fapws/runtime/system"
)

func TestBodyThatDoesNotFitOnTheDiskIsRejected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		shell func(folder string) string
		why   string
	}{
		{"a full disk", smallDisk(t, 800), "sent 507: a request body of .* does not fit into three quarters of the free space"},
		{"a limit of file sizes", func(string) string { return "ulimit -f 1200" }, // 512-byte blocks
			"cannot store a request body in .*: file too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd, folder := failures(t)
			tmp := folder + "/tmp"
			fapwstest.Must(t, os.Mkdir(tmp, 0o700))
			cmd.Env = []string{"TMPDIR=" + tmp}
			cmd.Shell = c.shell(tmp)
			s := cmd.Serve(t, fapwstest.Threads)
			fits, large := strings.Repeat("f", 400_000), strings.Repeat("l", 9_000_000)
			for range 3 {
				s.Ask(fapwstest.Request("POST", "/body", fits)).Is(t, "400000 bytes")
				for _, text := range []string{fapwstest.Request("POST", "/body", large),
					fapwstest.Chunked("POST", "/body", large, 10_000)} {
					w := s.DialSend(text)
					a := w.Answer().Want(t, 507)
					fapwstest.Truef(t, a.Close, "507 with %q", a.Header)
					w.Closed()
				}
				s.Says(c.why)
				s.Ask(fapwstest.Request("POST", "/body", "small")).Is(t, "5 bytes")
				s.Get("/static/one.txt", 200).Is(t, "one")
			}
		})
	}
}

// The length of a chunked body is unknown at its start, so the server checks the free space again while the body grows.
func TestChunkedBodyMayUseAQuarterOfTheFreeSpace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/app.py", `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes" % len(environ["wsgi.input"].read())]
`)
	tmp := folder + "/tmp"
	fapwstest.Must(t, os.Mkdir(tmp, 0o700))
	s := fapwstest.Command{Script: script, Complains: true, Env: []string{"TMPDIR=" + tmp},
		Shell: smallDisk(t, 64<<10)(tmp)}.Serve(t, fapwstest.Threads)
	s.Ask(fapwstest.Chunked("POST", "/", strings.Repeat("f", 15<<20), 100_000)).Is(t, fmt.Sprint(15<<20, " bytes"))
	w := s.DialSend(fapwstest.Chunked("POST", "/", strings.Repeat("l", 17<<20), 100_000))
	a := w.Answer().Want(t, 507)
	fapwstest.Truef(t, a.Close, "507 with %q", a.Header)
	w.Closed()
	s.Says("sent 507: a request body of .* does not fit into a quarter of the free space of " + tmp)
	s.Ask(fapwstest.Request("POST", "/", "small")).Is(t, "5 bytes")
}

// countsBytes is an application that reads request bodies and responds with their size.
const countsBytes = `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes" % len(environ["wsgi.input"].read())]
`

// onSmallDisk starts a server whose directory for temporary files is a file system of size MiB. free returns the number
// of free MiB.
func onSmallDisk(t *testing.T, m fapwstest.Mode, size int64, script string, flags ...string) (s *fapwstest.Server, free func() int64) {
	t.Helper()
	folder := t.TempDir()
	tmp := folder + "/tmp"
	fapwstest.Must(t, os.Mkdir(tmp, 0o700))
	s = fapwstest.Command{Script: fapwstest.Write(t, folder+"/app.py", script), Env: []string{"TMPDIR=" + tmp}, Flags: flags,
		Shell: smallDisk(t, int(size)<<10)(tmp)}.Serve(t, m)
	return s, func() int64 {
		folder := fapwstest.Try(os.Open(fmt.Sprintf("/proc/%d/root%s", s.Cmd.Process.Pid, tmp))).Must(t)
		defer folder.Close()
		n, ok := system.FreeSpaceOf(folder)
		fapwstest.Needf(t, ok, "the free space of %s is unknown", tmp)
		return n >> 20
	}
}

// One client sends most of many bodies and holds the rest back. It gets a quarter of the space, and other clients get
// theirs.
func TestUnfinishedBodiesOfAClientLeaveSpaceToOthers(t *testing.T) {
	for name, body := range map[string]func(text string) string{
		"sized":   func(text string) string { return fapwstest.Request("POST", "/", text) },
		"chunked": func(text string) string { return fapwstest.Chunked("POST", "/", text, 100_000) },
	} {
		t.Run(name, func(t *testing.T) {
			fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
				s, free := onSmallDisk(t, m, 64, countsBytes, "--body-timeout", "5s", "--body-min-rate", "0")
				text := body(strings.Repeat("b", 4<<20))
				for range 60 { // some stay in memory
					w := s.Dial()
					go w.Write([]byte(text[:len(text)-10])) // the server stops reading some of these connections
				}
				fapwstest.Eventually(t, "bodies wait", func() bool { return free() < 64-4 })
				s.Says(`warning client 127\.0\.0\.1:\d+: sent 503: too many request bodies wait in files \(at most \d+ MiB in `)
				n := free()
				fapwstest.Truef(t, n >= 64/4, "%d MiB are free", n)
				s.DialFrom("127.0.0.2").Ask(text).Is(t, fmt.Sprint(4<<20, " bytes"))
			})
		})
	}
}

// Bodies that wait for space continue when others have ended.
func TestManyBodiesAreStoredOneAfterTheOther(t *testing.T) {
	fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
		s, _ := onSmallDisk(t, m, 32, countsBytes)
		text := fapwstest.Request("POST", "/", strings.Repeat("b", 3<<20))
		all := fapwstest.Repeat(20, func(int) *fapwstest.Client {
			w := s.Dial()
			go w.Write([]byte(text))
			return w
		})
		for _, w := range all {
			w.Answer().Is(t, fmt.Sprint(3<<20, " bytes"))
		}
	})
}

// A body that cannot be stored in a read-only TMPDIR is stored elsewhere, or gets 507. The start and fapws check say so.
func TestReadOnlyDirectoryForTemporaryFilesIsReported(t *testing.T) {
	for _, c := range []struct {
		name   string
		mounts []string // file systems in addition to that of TMPDIR
		line   string
		status int
	}{
		{"another directory", nil, "they are stored in /var/tmp; set TMPDIR to ", 200},
		{"no other directory", []string{"/var/tmp", "/dev/shm"}, "such requests get 507; set TMPDIR to ", 507},
	} {
		t.Run(c.name, func(t *testing.T) {
			fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
				folder := t.TempDir()
				tmp := folder + "/tmp"
				fapwstest.Must(t, os.Mkdir(tmp, 0o700))
				shell := smallDisk(t, 64)(tmp)
				for _, dir := range append(c.mounts, tmp) {
					shell = strings.Replace(shell, `&& exec "$@"`, "&& mount -t tmpfs -o ro none "+dir+` && exec "$@"`, 1)
				}
				cmd := fapwstest.Command{Script: fapwstest.Write(t, folder+"/app.py", countsBytes), Shell: shell,
					Env: []string{"TMPDIR=" + tmp}}
				s := cmd.Serve(t, m)
				line := "cannot store large request bodies in " + tmp + ": read-only file system; .*" + c.line
				s.Says("warning " + line)
				s.Ask(fapwstest.Request("POST", "/", strings.Repeat("b", 9<<20))).Want(t, c.status)
				if c.status == 507 {
					s.Says("error cannot store a request body in " + tmp + ": .*read-only file system")
				}
				cmd.Flags = []string{"check"}
				code, _, stderr := cmd.Run(t)
				fapwstest.Truef(t, code == 0 && regexp.MustCompile(line).MatchString(stderr), "check: code %d, %s", code, stderr)
			})
		})
	}
}

// smallDisk returns a function that returns a shell command for a directory. The command mounts a file system of size
// KiB at the directory. Only the server that the shell starts sees this file system.
func smallDisk(t *testing.T, size int) func(folder string) string {
	t.Helper()
	unshare := "unshare -m"
	if os.Geteuid() != 0 {
		unshare = "unshare -rm"
	}
	said, err := exec.Command("/bin/sh", "-c", unshare+" mount -t tmpfs none /mnt").CombinedOutput()
	fapwstest.Needf(t, err == nil, "mounting needs root, or user namespaces: %s", said)
	return func(folder string) string {
		return "exec " + unshare + " /bin/sh -c 'mount -t tmpfs -o size=" + strconv.Itoa(size) + "k none " + folder +
			` && exec "$@"' sh "$@"`
	}
}

// A body for WSGI needs no file up to 8 MiB, however its end is announced.
func TestBodyOfAFewMegabytesStaysInMemory(t *testing.T) {
	t.Parallel()
	const script = `import hashlib
import os


def files():
    names = ["/proc/self/fd/" + fd for fd in os.listdir("/proc/self/fd")]
    files = [os.readlink(name) for name in names if os.path.islink(name)]
    return sum("(deleted)" in name and "/memfd:" not in name for name in files)


def app(environ, start_response):
    body = environ["wsgi.input"]
    digest = hashlib.sha256(body.readline())
    while piece := body.read(100_000):
        digest.update(piece)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{digest.hexdigest()}, {files()} files".encode()]
`
	s := fapwstest.Command{Script: fapwstest.Write(t, t.TempDir()+"/app.py", script), Flags: []string{"--h2c"}}.Serve(t,
		fapwstest.Threads)
	both := new(http.Protocols)
	both.SetUnencryptedHTTP2(true)
	for version, transport := range map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2.0": {Protocols: both}} {
		for _, c := range []struct{ size, files int }{{70 << 10, 0}, {2_000_000, 0}, {8 << 20, 0}, {8<<20 + 1, 1}} {
			body := bytes.Repeat([]byte("0123456789abcdef a line\n"), c.size/24+1)[:c.size]
			for _, length := range []int64{-1, int64(c.size)} {
				request := checktest.Try(http.NewRequest("POST", s.URL, io.MultiReader(bytes.NewReader(body)))).Must(t)
				request.ContentLength = length
				answer := checktest.Try(transport.RoundTrip(request)).Must(t)
				text := checktest.Try(io.ReadAll(answer.Body)).Must(t)
				answer.Body.Close()
				want := fmt.Sprintf("%x, %d files", sha256.Sum256(body), c.files)
				checktest.Truef(t, string(text) == want && answer.Proto == version, "%s, %d bytes, length %d: %s %s, want %s", version,
					c.size, length, answer.Proto, text, want)
			}
		}
	}
}

// A handler that continues after its client got 504 still reads its own body, although others have sent bodies since.
func TestBodyStaysValidAfterTheClientGot504(t *testing.T) {
	t.Parallel()
	const script = `import os
import time


def app(environ, start_response):
    body = environ["wsgi.input"]
    first = body.read(1)
    if first == b"s":
        try:
            while not os.path.exists("go"):
                time.sleep(0.01)
        except BaseException:
            pass
        while not os.path.exists("go"):
            time.sleep(0.01)
        with open("rest", "wb") as f:
            f.write(first + body.read())
        os.rename("rest", "done")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes" % (len(body.read()) + 1)]
`
	dir := t.TempDir()
	s := fapwstest.Command{Script: fapwstest.Write(t, dir+"/app.py", script), Dir: dir,
		Flags: []string{"--timeout", "1s", "--no-heal"}}.Serve(t, fapwstest.Threads)
	slow := strings.Repeat("s", 1_000_000)
	s.DialSend(fapwstest.Request("POST", "/", slow)).Answer().Want(t, 504)
	for range 10 {
		s.Ask(fapwstest.Request("POST", "/", strings.Repeat("x", 1_000_000))).Is(t, "1000000 bytes")
	}
	fapwstest.Write(t, dir+"/go", "")
	fapwstest.Eventually(t, "the slow handler ends", func() bool { return fapwstest.Exists(dir + "/done") })
	got := checktest.Try(os.ReadFile(dir + "/done")).Must(t)
	checktest.Truef(t, string(got) == slow, "the slow handler has read %d bytes, %d of its own", len(got), strings.Count(string(got), "s"))
}
