package process_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

// smallApp sends large responses, endless streams, and the size of request bodies.
const smallApp = `
import os


def stream():
    while True:
        yield os.urandom(8192).hex().encode()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    path = environ["PATH_INFO"]
    if path == "/large":
        return [os.urandom(1024) * 8192]
    if path == "/stream":
        return stream()
    n = 0
    while piece := environ["wsgi.input"].read(65536):
        n += len(piece)
    return [b"%d bytes" % n]
`

// A small is a machine with little memory: a control group.
type small struct {
	t   *testing.T
	dir string // directory of the group; "" if this machine permits none
}

// newSmall makes a control group of memory MiB, and of cpu percent of a processor if cpu is not 0. The shell commands
// enter the group, or set a limit of the address space if this machine permits no group.
func newSmall(t *testing.T, memory, cpu int) (s *small, shell string) {
	t.Helper()
	name := fmt.Sprintf("fapws-small-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))
	var lines []string
	enter := func(top string, limits ...string) string {
		dir := filepath.Join(top, name)
		if os.Mkdir(dir, 0o755) != nil {
			return ""
		}
		t.Cleanup(func() { // the server has ended, but its processes may still be in the group
			checktest.Eventually(t, "the group is empty", func() bool { return os.Remove(dir) == nil })
		})
		for i := 0; i < len(limits); i += 2 {
			if os.WriteFile(filepath.Join(dir, limits[i]), []byte(limits[i+1]), 0) != nil && i == 0 {
				return ""
			}
		}
		lines = append(lines, "echo $$ > "+dir+"/cgroup.procs")
		return dir
	}
	bytes := strconv.Itoa(memory << 20)
	quota := strconv.Itoa(cpu * 1000)
	s = &small{t: t}
	if s.dir = enter("/sys/fs/cgroup/memory", "memory.limit_in_bytes", bytes, "memory.memsw.limit_in_bytes", bytes); s.dir != "" {
		if cpu > 0 {
			enter("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", quota)
		}
	} else {
		limits := []string{"memory.max", bytes, "memory.swap.max", "0"}
		if cpu > 0 {
			limits = append(limits, "cpu.max", quota+" 100000")
		}
		s.dir = enter("/sys/fs/cgroup", limits...)
	}
	if s.dir == "" {
		t.Logf("no control group can be made here; the server has an address space of 1 GiB instead of %d MiB of memory", memory)
		lines = append(lines, "ulimit -v 1048576")
	}
	return s, strings.Join(lines, " && ")
}

// kills returns how many processes of the group the kernel has killed.
func (s *small) kills() int {
	for _, name := range []string{"memory.oom_control", "memory.events"} {
		text, _ := os.ReadFile(filepath.Join(s.dir, name))
		if _, rest, ok := strings.Cut(string(text), "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// With FAPWS_SMALL set, ./build.sh small tries machines of several sizes, with a tenth of a processor.
func TestSmallMachineServesOthersDuringAttacksOnItsMemory(t *testing.T) {
	sizes, cpu, upload := []int{128}, 0, int64(20<<20)
	patience := fapwstest.Patience / 120 // a second
	if os.Getenv("FAPWS_SMALL") != "" {
		sizes, cpu, upload = []int{64, 96, 128, 256}, 10, 100<<20
		patience *= 10
	}
	for _, memory := range sizes {
		t.Run(fmt.Sprint(memory, " MiB"), func(t *testing.T) {
			machine, shell := newSmall(t, memory, cpu)
			tmp := t.TempDir()
			s := fapwstest.Command{Script: fapwstest.Write(t, tmp+"/app.py", smallApp), Shell: shell,
				Env: []string{"TMPDIR=" + tmp}, Flags: []string{"--workers", "1"}}.Serve(t, fapwstest.Mode{})
			others := func(during string) {
				t.Helper()
				var longest time.Duration
				for range 10 {
					began := time.Now()
					s.Get("/", 200).Is(t, "0 bytes")
					longest = max(longest, time.Since(began))
				}
				fapwstest.Truef(t, longest < patience, "%s, another client waited for %v", during, longest)
				fapwstest.Equalf(t, machine.kills(), 0, "%s, killed processes", during)
			}
			others("at rest")
			streams := s.DialMany(64, fapwstest.Get("/stream", "Accept-Encoding: zstd"))
			others("with 64 stalled compressed streams")
			for _, w := range streams {
				w.Close()
			}
			large := s.DialMany(60, fapwstest.Get("/large"))
			others("with 60 unread responses")
			s.Reload()
			others("after a reload")
			for _, w := range large {
				w.Close()
			}
			w := s.Dial()
			w.Send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", upload))
			sent := make(chan error, 1)
			go func() {
				_, err := io.CopyN(w.Conn, zeros{}, upload)
				sent <- err
			}()
			others("during an upload")
			fapwstest.Must(t, <-sent)
			w.Answer().Is(t, fmt.Sprint(upload, " bytes"))
			others("after the upload")
		})
	}
}

// The first requests of a server are for large responses, before it knows their size. A handler releases the GIL while it
// holds the memory of its response.
func TestSmallMachineSurvivesABurstOfLargeResponses(t *testing.T) {
	for flags, memory := range map[string]int{"--workers 1 --threads 8": 64, "--workers 2": 96} {
		t.Run(flags, func(t *testing.T) {
			machine, shell := newSmall(t, memory, 0)
			s := fapwstest.Command{Script: fapwstest.Write(t, t.TempDir()+"/app.py", `import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [os.urandom(8 << 20) if environ["PATH_INFO"] == "/large" else b"small"]
`), Shell: shell, Flags: strings.Fields(flags)}.Serve(t, fapwstest.Mode{})
			for range 2 {
				large := s.DialMany(60, fapwstest.Get("/large"))
				for range 10 {
					s.Get("/", 200).Is(t, "small")
				}
				for _, w := range large {
					w.Close()
				}
			}
			fapwstest.Equalf(t, machine.kills(), 0, "killed processes")
		})
	}
}

// After a large response, handlers that may make another one run one after the other. A handler that waits does not
// hold up the others.
func TestSmallMachineServesOthersWhileAHandlerWaits(t *testing.T) {
	_, shell := newSmall(t, 128, 0)
	dir := t.TempDir()
	s := fapwstest.Command{Script: fapwstest.Write(t, dir+"/app.py", `import os
import time


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    path = environ["PATH_INFO"]
    if path == "/wait":
        open("waits", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.05)
    return [bytes(8 << 20) if path == "/large" else path.encode()]
`), Dir: dir, Shell: shell}.Serve(t, fapwstest.Mode{})
	fapwstest.Equal(t, len(s.Get("/large", 200).Text), 8<<20)
	w := s.DialGet("/wait")
	fapwstest.Eventually(t, "a handler waits", func() bool { return fapwstest.Exists(dir + "/waits") })
	s.Get("/other", 200).Is(t, "/other")
	fapwstest.Write(t, dir+"/go", "")
	w.Answer().Is(t, "/wait")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// With FAPWS_SMALL set, ./build.sh small tries machines of several sizes, with a tenth of a processor.
func TestSmallMachineServesTheConsoleDuringAnUploadAndAReload(t *testing.T) {
	sizes, cpu, upload := []int{64}, 0, int64(20<<20)
	patience := fapwstest.Patience / 120 // a second
	if os.Getenv("FAPWS_SMALL") != "" {
		sizes, cpu, upload = []int{64, 128, 256}, 10, 100<<20
		patience *= 10
	}
	for _, memory := range sizes {
		t.Run(fmt.Sprint(memory, " MiB"), func(t *testing.T) {
			machine, shell := newSmall(t, memory, cpu)
			dir := t.TempDir()
			fapwstest.Must(t, os.CopyFS(dir+"/console", os.DirFS("../../../../samples/console")))
			fapwstest.Must(t, os.MkdirAll(dir+"/data", 0o700))
			addUser(t, dir+"/data/users")
			s := fapwstest.Command{Flags: []string{"-c", dir + "/console/fapws.toml", "--state-dir", dir + "/state"}, Dir: dir,
				Shell: shell, Env: []string{"CONSOLE_DATA=" + dir + "/data", "CONSOLE_RUN=" + dir + "/run",
					"CONSOLE_CHECK=true", "CONSOLE_INSTALL=true"}}.Serve(t, fapwstest.Mode{})
			clients := fapwstest.Repeat(10, func(int) *session {
				c := newSession(s.URL)
				fapwstest.Needf(t, c.logIn(), "ann cannot log in")
				s.DialSend(fapwstest.Get("/values", "Cookie: "+c.cookie())) // stays open, with live values
				return c
			})
			done := make(chan struct{})
			wait := fapwstest.InBackground(len(clients), func(i int) {
				for {
					select {
					case <-done:
						return
					case <-time.After(200 * time.Millisecond):
					}
					began := time.Now()
					r, text := clients[i].ask("GET", "/logs", "")
					took := time.Since(began)
					fapwstest.Truef(t, r.StatusCode == 200 && took < patience, "client %d: %d after %v, %.200s", i, r.StatusCode,
						took, text)
				}
			})
			q := fapwstest.Try(http.NewRequest("PUT", s.URL+"/firmware-image", io.LimitReader(zeros{}, upload))).Must(t)
			q.ContentLength = upload
			q.Header.Set("Origin", s.URL)
			r := fapwstest.Try(clients[0].client.Do(q)).Must(t)
			text := fapwstest.Try(io.ReadAll(r.Body)).Must(t)
			r.Body.Close()
			fapwstest.Truef(t, r.StatusCode < 400, "upload: %s, %.500s", r.Status, text)
			s.Reload()
			time.Sleep(time.Second)
			close(done)
			wait()
			fapwstest.Equalf(t, machine.kills(), 0, "killed processes")
		})
	}
}
