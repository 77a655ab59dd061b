package python_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func TestScriptsMayPrintStartThreadsAndHandleSignals(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "process.py")

		t.Run("print", func(t *testing.T) {
			for i := range 3 {
				s.Get(fmt.Sprint("/print?", i), 200)
				s.Stdout.Await(t, regexp.MustCompile(fmt.Sprint("printed ", i, "\n")))
			}
		})
		t.Run("threads run while idle", func(t *testing.T) {
			ticks := func() int { return s.Get("/ticks", 200).Number(t) }
			first := ticks()
			fapwstest.Eventually(t, "a thread of the script has gone on", func() bool { return ticks() > first+3 })
		})
		t.Run("signals", func(t *testing.T) {
			s.Signal(syscall.SIGUSR1)
			fapwstest.Eventually(t, "SIGUSR1 was taken", func() bool { return s.Get("/taken", 200).Text == "[10]" })
			s.Get("/alarm", 200)
			fapwstest.Eventually(t, "SIGALRM was taken", func() bool { return s.Get("/taken", 200).Text == "[10, 14]" })
			s.Signal(syscall.SIGPIPE)
			s.Get("/taken", 200).Is(t, "[10, 14]")
			s.Reload()
			s.Get("/taken", 200).Is(t, "[]")
		})
		t.Run("children", func(t *testing.T) {
			w := s.Dial()
			for range 3 {
				w.Fetch("/fork?exits").Is(t, "7")
				w.Fetch("/fork?raises").Want(t, 200)
				fapwstest.Truef(t, w.Fetch("/fork?returns").Want(t, 200).Text != "from the child", "a forked child answers")
				w.Fetch("/subprocess").Is(t, "42\nthrough a pipe")
			}
			w.Fetch("/pid").Is(t, strconv.Itoa(s.Cmd.Process.Pid))
		})
		s.Complains = true
	})
}

func TestObjectsOfTheImportBelongToTheHandlerThread(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		flags := []string{"--threads", "1"}
		if m.Inline() {
			flags = nil
		}
		s := fapwstest.Serve(t, m, "process.py", flags...)
		for i := range 5 {
			s.Get("/database", 200).Is(t, strconv.Itoa(i+1))
			s.Get("/main-thread", 200).Is(t, "True")
		}
	})
}

// A module that the server loads for itself takes time and memory of each start.
func TestServerLoadsOnlyBuiltInModulesBesidesItsOwn(t *testing.T) {
	const text = `
import sys

before = set(sys.modules)
before.update(sys.builtin_module_names, ["zlib"])  # zlib unpacks the server's own modules


def handler(environ, start_response):
    return str(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] != "fapws"))


PATHS = [("/", handler)]
`
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: fapwstest.Write(t, t.TempDir()+"/app.py", text)}.Serve(t, m)
		s.Get("/", 200).Is(t, "[]")
	})
}

// Before Python 3.13, the thread that first imports threading counts as the main thread, and Python waits for it at the
// end. In this test, that thread never ends.
func TestThreadingImportedByAnotherThreadDoesNotBlockTheEnd(t *testing.T) {
	const text = `
import _thread, atexit, sys

main, native, never = _thread.get_ident(), _thread.get_native_id(), _thread.allocate_lock()
loaded = "threading" in sys.modules  # it would take 0.7 MB of a script without threads
never.acquire()


def elsewhere(imported):
    import threading
    imported.release()
    never.acquire()


def handler(environ, start_response):
    imported = _thread.allocate_lock()
    imported.acquire()
    _thread.start_new_thread(elsewhere, (imported,))
    imported.acquire()
    import threading
    thread = threading.main_thread()
    return str((thread.ident == main, thread.native_id == native or sys.version_info >= (3, 13), loaded))


notes = open(__file__ + ".notes", "w")
atexit.register(print, "bye", file=notes)
atexit.register(print, "bye")
PATHS = [("/", handler)]
`
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		script := fapwstest.Write(t, t.TempDir()+"/app.py", text) // each server has its own file .notes
		s := fapwstest.Command{Script: script}.Serve(t, m)
		s.Get("/", 200).Is(t, "(True, True, False)")
		s.Signal(syscall.SIGTERM)
		code := s.Ended()
		fapwstest.Truef(t, code == 0 && s.Stdout.String() == "bye\n", "code %d, output %q", code, s.Stdout)
		notes, _ := os.ReadFile(script + ".notes")
		fapwstest.Equalf(t, string(notes), "bye\n", "the file")
	})
}

func TestCodeThatGeventHasPatchedWorksOnlyInline(t *testing.T) {
	t.Parallel()
	serve := func(m fapwstest.Mode, patch string) *fapwstest.Server {
		script := fapwstest.Write(t, t.TempDir()+"/app.py", "from gevent import monkey\nmonkey."+patch+`()
import queue, subprocess, threading, time

def application(environ, start_response):
    start_response("200 OK", [])
    done = queue.Queue()
    thread = threading.Thread(target=lambda: done.put(time.sleep(0.01)))
    thread.start()
    thread.join()
    return [subprocess.check_output(["echo", str(done.get())])]
`)
		return fapwstest.Command{Script: script, Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)}}.Serve(t, m)
	}
	for _, patch := range []string{"patch_all", "patch_subprocess"} {
		serve(fapwstest.Threads, patch).Says("warning gevent has patched Python's standard library .*--threads 0")
	}
	s := serve(fapwstest.Inline, "patch_all")
	for range 5 {
		s.Get("/", 200).Is(t, "None\n")
	}
	s.Stop()
	fapwstest.Lacks(t, s.Stderr.String(), "gevent has patched")
}

func TestHandlerSeesThatItsClientHasDisconnected(t *testing.T) {
	t.Parallel()
	for flag, targets := range map[string][]string{"--threads=1": {"/elsewhere", "/awaits"}, "--fork": {"/elsewhere"}} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			s := fapwstest.Command{Script: "left.py", Args: []string{folder, flag},
				Flags: []string{"--h2c", flag, "--access-log", folder + "/access"}}.Serve(t, fapwstest.Threads)
			s.Get("/keeps", 200).Is(t, "[False]")
			for i, target := range targets {
				w := s.DialGet(target)
				fapwstest.FileSays(t, folder+"/entered", strings.Repeat("False\n", 2*i+1))
				w.Reset()
				fapwstest.FileSays(t, folder+"/left", strings.Repeat("yes\n", 2*i+1))
				fapwstest.FileSays(t, folder+"/access", `"GET `+target+` HTTP/1.1" 499 `)

				ctx, reset := context.WithCancel(t.Context())
				var both http.Protocols
				both.SetUnencryptedHTTP2(true)
				h2 := http.Client{Transport: &http.Transport{Protocols: &both}}
				r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+target, nil)
				ended := make(chan error)
				go func() {
					_, err := h2.Do(r)
					ended <- err
				}()
				fapwstest.FileSays(t, folder+"/entered", strings.Repeat("False\n", 2*i+2))
				reset() // The client resets the stream, and the connection stays open.
				<-ended
				fapwstest.FileSays(t, folder+"/left", strings.Repeat("yes\n", 2*i+2))
				fapwstest.FileSays(t, folder+"/access", `"GET `+target+` HTTP/2.0" 499 `)
			}
			if flag == "--threads=1" {
				// The handler has kept the function fapws.disconnected of the first request. Later requests use the
				// same thread and memory, but must not change the function's result.
				s.Get("/keeps", 200).Is(t, "[False, False]")
				s.Get("/keeps", 200).Is(t, "[False, False, False]")
			}
			w := s.DialGet("/writes")
			w.Head("GET")
			w.Reset()
			fapwstest.FileSays(t, folder+"/raised", "True\n")

			// A client that has shut down its sending side has probably disconnected. If it is still connected, it gets
			// its response.
			for _, target := range append(targets, "/sends") {
				want := map[bool]string{false: "still here", true: "one two"}[target == "/sends"]
				fapwstest.Eventually(t, target+" is answered", func() bool {
					w := s.DialGet(target)
					_ = w.Conn.(*net.TCPConn).CloseWrite()
					a, err := w.Reads()
					return err == nil && a.Text == want
				})
			}
		})
	}
}

func TestClientThatClosesItsSideOfTLSHasDisconnected(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certificate, key := certtest.NewAuthority(t).For("localhost").Write(folder)
	s := fapwstest.Command{Script: "left.py", Args: []string{folder}, Flags: []string{"--bind", "https://127.0.0.1:0",
		"--certfile", certificate, "--keyfile", key, "--access-log", folder + "/access"}}.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	for i, target := range []string{"/elsewhere", "/awaits"} {
		c := tls.Client(s.Dial().Conn, &tls.Config{InsecureSkipVerify: true})
		w := fapwstest.NewClient(t, c)
		w.Get(target)
		fapwstest.FileSays(t, folder+"/entered", strings.Repeat("False\n", i+1))
		_ = c.CloseWrite()
		fapwstest.Equalf(t, w.Rest(), "", "%s", target)
		fapwstest.FileSays(t, folder+"/access", `"GET `+target+` HTTP/1.1" 499 `)
	}
	fapwstest.FileSays(t, folder+"/left", "yes\nyes\n")
}
