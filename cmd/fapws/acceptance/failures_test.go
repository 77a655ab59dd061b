package acceptance

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// failing is command for failures.py, with a site in a folder of its own.
func failing(t *testing.T, flags ...string) (c command, folder string) {
	t.Helper()
	folder = t.TempDir()
	write(t, folder+"/site/one.txt", "one")
	return command{script: "failures.py", args: []string{folder}, flags: flags, complains: true}, folder
}

// While a handler sleeps, other clients are answered.
func TestSleepingHandler(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		if m.inline() {
			return // where everybody waits, as the help says
		}
		c, folder := failing(t, "--graceful-timeout", "100ms")
		s := c.serve(t, m)
		sleeper := s.dial()
		sleeper.get("/sleeps")
		fileSays(t, folder+"/entered", "yes")
		for range 200 { // each may come to the process that sleeps
			w := s.dial()
			w.send(get("/static/one.txt"), get("/"), request("POST", "/body", strings.Repeat("b", 300)), get("/static/one.txt"))
			w.answer().is(t, "one")
			w.answer().is(t, "quick")
			w.answer().is(t, "300 bytes")
			w.answer().is(t, "one")
			w.Close()
		}
	})
}

// A body that does not fit on the disk is refused with a reason, once in the
// log and to its client; others are served, also from the disk.
func TestFullDiskForBodies(t *testing.T) {
	for _, c := range []struct {
		name  string
		shell func(folder string) string
		why   string
	}{
		{"a full disk", smallDisk(t, 800), "no space left on device"},
		{"a limit of file sizes", func(string) string { return "ulimit -f 1200" }, "file too large"}, // blocks of 512
	} {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				cmd, folder := failing(t)
				tmp := folder + "/tmp"
				if err := os.Mkdir(tmp, 0o700); err != nil {
					t.Fatal(err)
				}
				cmd.env = []string{"TMPDIR=" + tmp}
				cmd.shell = c.shell(tmp)
				s := cmd.serve(t, m)
				fits, large := strings.Repeat("f", 400_000), strings.Repeat("l", 2_000_000)
				for i := range 3 {
					s.ask(request("POST", "/body", fits)).is(t, "400000 bytes")
					for _, text := range []string{request("POST", "/body", large), chunked("POST", "/body", large, 10_000)} {
						w := s.dial()
						w.send(text)
						if a := w.answer().want(t, 507); !a.Close {
							t.Errorf("507 with %q", a.Header)
						}
						w.closed()
					}
					eventually(t, "each failure is in the log, once", func() bool {
						return strings.Count(s.stderr.String(), "cannot store a request body in "+tmp+": "+c.why) == 2*(i+1)
					})
					s.ask(request("POST", "/body", "small")).is(t, "5 bytes")
					s.get("/static/one.txt", 200).is(t, "one")
				}
			})
		})
	}
}

// smallDisk returns a shell command after which a folder is on a disk of some
// KiB, for this process alone.
func smallDisk(t *testing.T, size int) func(folder string) string {
	t.Helper()
	unshare := "unshare -m"
	if os.Geteuid() != 0 {
		unshare = "unshare -rm"
	}
	if said, err := exec.Command("/bin/sh", "-c", unshare+" mount -t tmpfs none /mnt").CombinedOutput(); err != nil {
		t.Fatalf("mounting needs root, or user namespaces: %s", said)
	}
	return func(folder string) string {
		return "exec " + unshare + " /bin/sh -c 'mount -t tmpfs -o size=" + strconv.Itoa(size) + "k none " + folder + ` && exec "$@"' sh "$@"`
	}
}

// A limit of file sizes is an OSError for handlers, as it is with python3, and
// no signal that ends the server.
func TestFileSizeLimit(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		c, _ := failing(t)
		c.shell = "ulimit -f 100"
		s := c.serve(t, m)
		s.get("/too-large-file", 500)
		s.says(`OSError: \[Errno 27\] File too large`)
		s.get("/", 200).is(t, "quick")
	})
}

// An access log that cannot be written is said once, and is nobody's problem.
func TestFullDiskForTheLog(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		c, _ := failing(t, "--access-log", "/dev/full")
		s := c.serve(t, m)
		w := s.dial()
		for range 500 {
			w.get("/")
			w.answer().is(t, "quick")
		}
		s.says(`access log: .*/dev/full.*no space left on device`)
		for range 500 {
			w.get("/static/one.txt")
			w.answer().is(t, "one")
		}
		if n := strings.Count(s.stderr.String(), "no space left on device"); n > len(s.handlers()) {
			t.Errorf("it is said %d times:\n%s", n, s.stderr)
		}
	})
}

// MemoryError is an error of one request.
func TestMemoryError(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		c, _ := failing(t)
		s := c.serve(t, m)
		for range 5 {
			s.get("/memory", 500)
			s.says(`MemoryError`)
			w := s.dial()
			w.get("/memory-later")
			if a := w.answer(); a.err == nil || a.body != "begun" {
				t.Errorf("in the middle: %q, %v", a.body, a.err)
			}
			w.gone()
			s.get("/", 200).is(t, "quick")
		}
	})
}
