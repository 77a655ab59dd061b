package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func failures(t *testing.T, flags ...string) (c fapwstest.Command, folder string) {
	t.Helper()
	folder = t.TempDir()
	fapwstest.Write(t, folder+"/site/one.txt", "one")
	return fapwstest.Command{Script: "failures.py", Args: []string{folder}, Flags: flags, Complains: true}, folder
}

func TestBodyThatDoesNotFitOnTheDiskIsRejected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		shell func(folder string) string
		why   string
	}{
		{"a full disk", smallDisk(t, 800), "no space left on device"},
		{"a limit of file sizes", func(string) string { return "ulimit -f 1200" }, "file too large"}, // 512-byte blocks
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
			for i := range 3 {
				s.Ask(fapwstest.Request("POST", "/body", fits)).Is(t, "400000 bytes")
				for _, text := range []string{fapwstest.Request("POST", "/body", large),
					fapwstest.Chunked("POST", "/body", large, 10_000)} {
					w := s.Dial()
					w.Send(text)
					a := w.Answer().Want(t, 507)
					fapwstest.Truef(t, a.Close, "507 with %q", a.Header)
					w.Closed()
				}
				fapwstest.Eventually(t, "each failure is in the log, once", func() bool {
					return strings.Count(s.Stderr.String(), "cannot store a request body in "+tmp+": "+c.why) == 2*(i+1)
				})
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
	w := s.Dial()
	w.Send(fapwstest.Chunked("POST", "/", strings.Repeat("l", 17<<20), 100_000))
	a := w.Answer().Want(t, 507)
	fapwstest.Truef(t, a.Close, "507 with %q", a.Header)
	w.Closed()
	s.Says("sent 507: a request body of .* does not fit into a quarter of the free space of " + tmp)
	s.Ask(fapwstest.Request("POST", "/", "small")).Is(t, "5 bytes")
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

func TestMissingProcIsReported(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		c, _ := failures(t, m.Flags...)
		c.Shell = smallDisk(t, 4)("/proc")
		c.Fails(t, 3, "fapws: /proc is missing")
	})
}

// If a file reaches the limit, the kernel sends SIGXFSZ. The server ignores this signal, as python3 does.
func TestFileSizeLimitIsAnOSErrorForHandlers(t *testing.T) {
	t.Parallel()
	c, _ := failures(t)
	c.Shell = "ulimit -f 100"
	s := c.Serve(t, fapwstest.Threads)
	s.Get("/too-large-file", 500)
	s.Says(`OSError: \[Errno 27\] File too large`)
	s.Get("/", 200).Is(t, "quick")
}

func TestMemoryErrorFailsOneRequest(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		c, _ := failures(t)
		s := c.Serve(t, m)
		for range 5 {
			s.Get("/memory", 500)
			s.Says(`MemoryError`)
			w := s.Dial()
			a := w.Fetch("/memory-later")
			fapwstest.Truef(t, a.Err != nil && a.Text == "begun", "in the middle: %q, %v", a.Text, a.Err)
			w.Gone()
			s.Get("/", 200).Is(t, "quick")
		}
	})
}
