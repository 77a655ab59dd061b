package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
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
			fits, large := strings.Repeat("f", 400_000), strings.Repeat("l", 2_000_000)
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
		n, ok := system.FreeSpace(fmt.Sprintf("/proc/%d/root%s", s.Cmd.Process.Pid, tmp))
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
				s, free := onSmallDisk(t, m, 64, countsBytes, "--body-timeout", "2s", "--body-min-rate", "0")
				text := body(strings.Repeat("b", 4<<20))
				for range 30 {
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
				line := "cannot store request bodies above 256 KiB in " + tmp + ": read-only file system; .*" + c.line
				s.Says("warning " + line)
				s.Ask(fapwstest.Request("POST", "/", strings.Repeat("b", 400_000))).Want(t, c.status)
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
