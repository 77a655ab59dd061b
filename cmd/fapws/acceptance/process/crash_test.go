package process_test

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// crashes lists the ways in which crashes.py ends its process. Each has a pattern for the last line that the server
// must log.
var crashes = []struct {
	way, says string
	stack     bool
}{
	{"segv", `segmentation fault \(SIGSEGV\) in C code`, true},
	{"thread", `segmentation fault \(SIGSEGV\) in C code`, true},
	{"enabled", `segmentation fault \(SIGSEGV\) in C code`, true},
	{"abort", `abort \(SIGABRT\) in C code`, true},
	{"heap", `abort \(SIGABRT\) in C code`, true},
	{"leave", `\S+crashes\.py:\d+: os\._exit\(1\) was called`, false},
	{"succeed", `\S+crashes\.py:\d+: os\._exit\(0\) was called`, false},
}

func TestCrashWhileLoadingIsReportedInOneLine(t *testing.T) {
	t.Parallel()
	for _, tt := range crashes {
		t.Run(tt.way, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers, fapwstest.Forks},
				func(t *testing.T, m fapwstest.Mode) {
					code, stdout, stderr := fapwstest.Command{Script: "crashes.py", Crashes: true,
						Flags: append([]string{"--bind", "127.0.0.1:0"}, m.Flags...), Env: []string{"CRASH=" + tt.way}}.Run(t)
					lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
					want := regexp.MustCompile(`^fapws: ` + tt.says + ` while \S*crashes\.py was loading: .*; .`)
					fapwstest.Truef(t, code == 3 && want.MatchString(lines[len(lines)-1]), "code %d, want %s at the end:\n%s", code,
						want, stderr)
					n := strings.Count(stderr, "fapws: ")
					fapwstest.Truef(t, n == 1 && !strings.Contains(stderr, "goroutine"), "%d lines of the server:\n%s", n, stderr)
					fapwstest.Truef(t, !tt.stack || regexp.MustCompile(`crashes\.py", line \d+ in `+strings.NewReplacer("thread",
						"segv").Replace(tt.way)).MatchString(stderr), "no stack of Python:\n%s", stderr)
					fapwstest.Has(t, stdout, "loading")
				})
		})
	}
}

func TestCrashInAHandlerIsReportedInOneLine(t *testing.T) {
	t.Parallel()
	for _, tt := range crashes {
		t.Run(tt.way, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
				s := fapwstest.Command{Script: "crashes.py", Complains: true, Crashes: true}.Serve(t, m)
				s.DialGet("/" + tt.way).Closed()
				s.Says(`fapws: ` + tt.says)
				if m.Workers() {
					s.Says(`worker \d+ (was killed by SIG(SEGV|ABRT)|exited with status [01]): ` + tt.says + `.*; starting a new one`)
					fapwstest.Eventually(t, "there are two workers again", func() bool { return len(s.Workers()) == 2 })
					s.Get("/hello", 200)
				} else {
					s.Ended()
				}
				fapwstest.Lacks(t, s.Stderr.String(), "goroutine")
			})
		})
	}
}

func TestClosingGosDescriptorsEndsTheProcessWithOneLine(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "descriptors.py", Complains: true, Crashes: true}.Serve(t, m)
		_, _ = io.ReadAll(s.DialGet("/close?range").In)
		// Usually, the worker notices the closed descriptor and exits. On a busy machine, the supervisor may notice the
		// descriptor first and kill the worker.
		if m.Workers() {
			s.Says(`worker \d+ (exited with status 1: the application closed descriptor \d+, .*; ` +
				`|cannot answer requests \(the application closed descriptor \d+, .*\) and was killed(: .*)?; )starting a new one`)
			fapwstest.Eventually(t, "there are two workers again", func() bool { return len(s.Workers()) == 2 })
			s.Get("/pid", 200)
		} else {
			// Go's runtime or the event loop notices the closed descriptor.
			s.Says(`(?m)(^fapws:| error) the application closed descriptor \d+, which belongs to the (server|event loop); .`)
			s.EndsWith(1)
		}
		text := s.Stderr.String()
		fapwstest.Truef(t, !regexp.MustCompile(`goroutine \d`).MatchString(text), "a dump of Go:\n%.2000s", text)
	})
}

// The application closes descriptors of the server, or changes them, so that the process could not answer requests.
func TestSabotageByTheApplicationEndsTheProcess(t *testing.T) {
	ways := []struct{ name, says string }{
		{"epoll", `the application closed descriptor \d+, which belongs to the event loop`},
		{"event", `the application closed descriptor \d+, which belongs to the event loop`},
		{"close", `the application closed descriptor \d+, which listened on 127\.0\.0\.1:\d+`},
		{"replace", `the application closed descriptor \d+, which listened on 127\.0\.0\.1:\d+`},
		{"blocking", `the application made descriptor \d+ blocking, which listens on 127\.0\.0\.1:\d+`},
		{"shutdown", `the application closed a descriptor that accepting connections requires: invalid argument`},
		{"standard", `the application closed descriptor [0-2], standard (input|output|error), which clients must not get`},
		{"files",
			`the application lowered the limit of open files \(RLIMIT_NOFILE\) from \d+ to 3, so no client can connect`},
	}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline,
		{Name: fapwstest.Workers.Name, Flags: []string{"--workers", "1"}}}, func(t *testing.T, m fapwstest.Mode) {
		serve := func() *fapwstest.Server { return fapwstest.Command{Script: "sabotage.py", Complains: true}.Serve(t, m) }
		s := serve()
		for _, w := range ways {
			// The address has port 0. After the application has shut down the listener, the kernel selects a different
			// port, so the test could not connect.
			if m.Workers() && w.name == "shutdown" {
				continue
			}
			pid := s.Get("/pid", 200).Text
			// Keep the client connected until the process ends, even if the client gets no response.
			saboteur := s.DialGet("/sabotage?" + w.name)
			_, _ = saboteur.In.Peek(1)
			if w.name == "standard" {
				clientsGetNoErrors(t, s)
				if !m.Workers() {
					s.EndsWith(1)
					s = serve()
					continue
				}
			}
			if w.name == "files" {
				s.Dial()
			}
			if !m.Workers() {
				s.Says(`(?m) error ` + w.says + `; exiting, because no request can be answered$`)
				s.EndsWith(1)
				s = serve()
				continue
			}
			s.Says(`worker ` + pid + ` cannot answer requests \(` + w.says + `\) and was killed.*; starting a new one`)
			now := s.Get("/pid", 200).Text
			fapwstest.Truef(t, now != pid, "%s: worker %s still serves", w.name, now)
		}
	})
}

// clientsGetNoErrors connects four clients after the application has closed the descriptors 0, 1 and 2. A socket of a
// client could get the number 2, and the server would then write the error of a failing handler to this client.
// clientsGetNoErrors returns when the server has closed the connections.
func clientsGetNoErrors(t *testing.T, s *fapwstest.Server) {
	t.Helper()
	clients := append(s.DialMany(3, fapwstest.Get("/pid")), s.Dial())
	clients[3].Get("/fails")
	for _, w := range clients {
		text, _ := io.ReadAll(w.In)
		fapwstest.Lacks(t, string(text), "Traceback")
	}
}

var inWorker = []fapwstest.Mode{
	{Name: "threads", Flags: []string{"--workers", "1"}},
	{Name: "inline", Flags: []string{"--workers", "1", "--threads", "0"}},
}

// pidIn waits until the file contains a process ID.
func pidIn(t *testing.T, file string) (pid int) {
	t.Helper()
	fapwstest.Eventually(t, "a process ID in "+file, func() bool {
		pid, _ = strconv.Atoi(strings.TrimSpace(fapwstest.TextOf(t, file)))
		return pid > 0
	})
	return pid
}

func TestWorkersEndInAnyStateAfterTheirSupervisorWasKilled(t *testing.T) {
	ends := func(t *testing.T, s *fapwstest.Server, pids []int) {
		t.Helper()
		s.Complains = true
		fapwstest.Needf(t, len(pids) != 0, "no workers")
		s.Signal(syscall.SIGKILL)
		fapwstest.HaveEnded(t, "the supervisor has died", s.Cmd.Process.Pid)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT) // a worker may have ended already
		}
		fapwstest.HaveEnded(t, "the workers have ended", pids...)
		s.Ended()
	}
	const grace = "--graceful-timeout=1"
	for _, m := range inWorker {
		for _, path := range []string{"/sleep", "/close?channel", "/close?epoll"} {
			t.Run(m.Name+" "+path, func(t *testing.T) {
				t.Parallel()
				folder := t.TempDir()
				s := fapwstest.Serve(t, m, "descriptors.py", grace)
				pids := s.Workers()
				if path == "/sleep" {
					s.Dial().Get("/sleep?" + folder)
					fapwstest.FileSays(t, folder+"/entered", "yes")
				} else {
					s.Dial().Get(path)
				}
				ends(t, s, pids)
			})
		}
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		s := fapwstest.Serve(t, fapwstest.Workers, "workers.py")
		pids := s.Workers()
		for _, pid := range pids {
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			fapwstest.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
			fapwstest.FileSays(t, fmt.Sprintf("/proc/%d/status", pid), "State:\tT")
		}
		ends(t, s, pids)
	})
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		file := t.TempDir() + "/pid"
		s := fapwstest.Command{Script: "loads.py", Args: []string{file},
			Flags: []string{"--workers", "1", "--bind", "127.0.0.1:0"}}.Start(t)
		ends(t, s, []int{pidIn(t, file)})
	})
	t.Run("full standard error", func(t *testing.T) {
		fapwstest.InEach(t, inWorker, func(t *testing.T, m fapwstest.Mode) {
			r, w, err := os.Pipe()
			fapwstest.Must(t, err)
			defer r.Close()
			defer w.Close()
			socket := t.TempDir() + "/socket"
			flags := append([]string{grace, "--bind", "unix:" + socket}, m.Flags...)
			s := fapwstest.Command{Script: "descriptors.py", Flags: flags, Files: []*os.File{w},
				Shell: "exec 2>&3 3>&-"}.Start(t)
			fapwstest.Eventually(t, "it listens", func() bool { return fapwstest.Listens("unix", socket) })
			worker := fapwstest.Dial(t, "unix", socket).Fetch("/pid").Number(t)
			fd := int(w.Fd())
			err = syscall.SetNonblock(fd, true)
			for err == nil {
				_, err = syscall.Write(fd, make([]byte, 4096))
			}
			ends(t, s, []int{worker})
		})
	})
	t.Run("another user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			return
		}
		for _, flags := range [][]string{{"--user", "daemon"}, {"--user", "daemon", "--chroot"}} {
			t.Run(strings.Join(flags, " "), func(t *testing.T) {
				t.Parallel()
				folder := fapwstest.PublicFolder(t)
				text := fapwstest.Source(t, "descriptors.py")
				if len(flags) > 2 {
					flags = append(flags, folder)
				}
				s := fapwstest.Command{Script: fapwstest.Write(t, folder+"/app.py", text), Flags: append(flags, grace),
					Dir: folder}.ForOtherUsers(t).Serve(t, fapwstest.Mode{})
				pids := s.Workers()
				s.Dial().Get("/close?epoll")
				ends(t, s, pids)
			})
		}
	})
	t.Run("programs", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		fapwstest.WriteProgram(t, folder+"/cgi-bin/sleep", "#!/bin/sh\necho $$ >"+folder+"/pid\nexec sleep 1000\n")
		config := fapwstest.Write(t, folder+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/cgi-bin/\"\ncgi = \""+
			folder+"/cgi-bin\"\n")
		s := fapwstest.Command{Flags: []string{"-c", config, grace}}.Serve(t, inWorker[0])
		s.Dial().Get("/cgi-bin/sleep")
		ends(t, s, append(s.Workers(), pidIn(t, folder+"/pid")))
	})
}
