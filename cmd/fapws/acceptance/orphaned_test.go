package acceptance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inWorker is one worker, with threads or inline.
var inWorker = []mode{
	{"threads", []string{"--workers", "1"}},
	{"inline", []string{"--workers", "1", "--threads", "0"}},
}

// TestClosedDescriptors: a worker whose application has closed what the event loop needs is
// replaced, and the log says why.
func TestClosedDescriptors(t *testing.T) {
	for _, c := range []struct{ kind, why string }{
		{"epoll", `worker %s can answer no requests \(the application has closed descriptor \d+, which belongs to the event loop\) and was killed`},
		{"event", `worker %s can answer no requests \(the application has closed descriptor \d+, which belongs to the event loop\) and was killed`},
		{"listener", `worker %s can answer no requests \(the application has closed [^)]*\) and was killed`},
		{"channel", `worker %s has closed its control channel and was killed`},
	} {
		t.Run(c.kind, func(t *testing.T) {
			inEach(t, inWorker, func(t *testing.T, m mode) {
				s := serve(t, m, "descriptors.py")
				pid := s.get("/pid", 200).body
				w := s.dial() // which may get no answer
				w.get("/close?" + c.kind)
				s.says(fmt.Sprintf(c.why, pid) + `: a new one is started`)
				client := &http.Client{Timeout: time.Second}
				eventually(t, "another worker answers", func() bool {
					r, err := client.Get(s.url + "/pid") // the old one may have taken the connection with it
					if err != nil {
						client.Timeout = min(2*client.Timeout, patience)
						return false
					}
					defer r.Body.Close()
					body, err := io.ReadAll(r.Body)
					return err == nil && string(body) != pid
				})
			})
		})
	}
}

// A process without a supervisor ends with one line when what it needs was closed: it would
// live on and answer nothing.
func TestClosedDescriptorsOfOneProcess(t *testing.T) {
	for _, kind := range []string{"epoll", "event", "listener"} {
		t.Run(kind, func(t *testing.T) {
			inOneProcess(t, func(t *testing.T, m mode) {
				s := command{script: "descriptors.py", complains: true}.serve(t, m)
				w := s.dial() // which may get no answer
				w.get("/close?" + kind)
				s.says(`error the application has closed [^;]*; ending, because no request can be answered`)
				if code := s.ended(); code != 1 {
					t.Errorf("code %d", code)
				}
			})
		})
	}
}

// gone reports whether a process has ended; who waits for it is another's concern.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

// TestOrphanedWorkers: workers end after their supervisor was killed, whatever they do.
func TestOrphanedWorkers(t *testing.T) {
	ends := func(t *testing.T, s *server, pids []int) {
		t.Helper()
		s.complains = true
		if len(pids) == 0 {
			t.Fatal("no workers")
		}
		s.signal(syscall.SIGKILL)
		eventually(t, "the workers have ended", func() bool {
			for _, pid := range pids {
				if !gone(pid) {
					return false
				}
			}
			return true
		})
		s.ended() // nothing else has its standard error now
	}
	const grace = "--graceful-timeout=1"
	t.Run("busy", func(t *testing.T) {
		inEach(t, inWorker, func(t *testing.T, m mode) {
			folder := t.TempDir()
			s := serve(t, m, "descriptors.py", grace)
			s.dial().get("/sleep?" + folder)
			fileSays(t, folder+"/entered", "yes")
			ends(t, s, s.workers())
		})
	})
	t.Run("without descriptors", func(t *testing.T) {
		inEach(t, inWorker, func(t *testing.T, m mode) {
			for _, kind := range []string{"channel", "epoll"} {
				s := serve(t, m, "descriptors.py", grace)
				pids := s.workers()
				s.dial().get("/close?" + kind)
				ends(t, s, pids)
			}
		})
	})
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		file := t.TempDir() + "/pid"
		s := command{script: "loads.py", args: []string{file}, flags: []string{"--workers", "1", "--bind", "127.0.0.1:0"}}.start(t)
		pid := 0
		eventually(t, "it loads", func() bool {
			text, _ := os.ReadFile(file)
			pid, _ = strconv.Atoi(string(text))
			return pid > 0
		})
		ends(t, s, []int{pid})
	})
	t.Run("full standard error", func(t *testing.T) {
		inEach(t, inWorker, func(t *testing.T, m mode) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			socket := t.TempDir() + "/socket"
			flags := append([]string{grace, "--bind", "unix:" + socket}, m.flags...)
			s := command{script: "descriptors.py", flags: flags, files: []*os.File{w}, shell: "exec 2>&3 3>&-"}.start(t)
			eventually(t, "it serves", func() bool {
				c, err := net.Dial("unix", socket)
				if err == nil {
					c.Close()
				}
				return err == nil && len(s.workers()) == 1
			})
			fd := int(w.Fd()) // which makes it blocking
			err = syscall.SetNonblock(fd, true)
			for err == nil {
				_, err = syscall.Write(fd, make([]byte, 4096))
			}
			ends(t, s, s.workers())
		})
	})
	t.Run("upgraded", func(t *testing.T) {
		t.Parallel()
		s := serve(t, modes[2], "workers.py", grace)
		old := s.workers()
		s.signal(syscall.SIGUSR2)
		s.says("info upgraded")
		s.hasWorkers(2, old...)
		ends(t, s, s.workers())
	})
	t.Run("another user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			return // nobody else can start such workers
		}
		for _, flags := range [][]string{{"--user", "daemon"}, {"--user", "daemon", "--chroot"}} {
			t.Run(strings.Join(flags, " "), func(t *testing.T) {
				t.Parallel()
				folder := publicFolder(t)
				text, err := os.ReadFile(testdata(t, "descriptors.py"))
				if err != nil {
					t.Fatal(err)
				}
				if len(flags) > 2 {
					flags = append(flags, folder)
				}
				s := command{script: write(t, folder+"/app.py", string(text)), flags: append(flags, grace), dir: folder}.forOtherUsers(t).serve(t, mode{})
				pids := s.workers()
				s.dial().get("/close?epoll")
				ends(t, s, pids)
			})
		}
	})
	t.Run("programs", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		program := write(t, folder+"/cgi-bin/sleep", "#!/bin/sh\necho $$ >"+folder+"/pid\nexec sleep 1000\n")
		if err := os.Chmod(program, 0o755); err != nil {
			t.Fatal(err)
		}
		config := write(t, folder+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/cgi-bin/\"\ncgi = \""+folder+"/cgi-bin\"\n")
		s := command{flags: []string{"-c", config, grace}}.serve(t, inWorker[0])
		s.dial().get("/cgi-bin/sleep")
		pid := 0
		eventually(t, "the program runs", func() bool {
			text, _ := os.ReadFile(folder + "/pid")
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			return pid > 0
		})
		ends(t, s, append(s.workers(), pid))
	})
}
