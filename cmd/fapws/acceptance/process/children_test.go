package process_test

import (
	"encoding/json"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func serveChildren(t *testing.T, m fapwstest.Mode) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return fapwstest.Command{Script: "children.py", Args: []string{folder}}.Serve(t, m), folder
}

func hasNoZombies(t *testing.T, parents ...int) {
	t.Helper()
	for pid, state := range fapwstest.ChildrenOf(t, parents...) {
		fapwstest.Truef(t, state != "Z", "process %d is a zombie", pid)
	}
}

func TestChildrenOfHandlersAreReapedByTheApplication(t *testing.T) {
	cases := []struct{ path, body string }{
		{"/at-import", "[0, 2, 4, 6, 8]"},
		{"/kill", "-15"},
		{"/speaks", "3"},
		{"/in-generator", "parent,0"},
		{"/crowd?60", "60"},
		{"/popens?40", "40"},
		{"/process/fork", "[0, 1, 2, 0, 0, 0]"},
		{"/process/spawn", "[0, 1, 2, 0, 0, 0]"},
		{"/process/forkserver", "[0, 1, 2, 0, 0, 0]"},
		{"/pool/fork", "[0, 2, 4, 6, 8]"},
		{"/executor/fork", "[0, 2, 4, 6, 8]"},
		{"/executor/spawn", "[0, 2, 4, 6, 8]"},
		{"/child-publishes/fork", "publish: a child process of the server cannot publish; send the event to its " +
			"parent instead\nsubscribers: not available in a child process of the server"},
		{"/child-publishes/spawn", "publish: not available in a process of multiprocessing\nsubscribers: not " +
			"available in a process of multiprocessing"},
	}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s, _ := serveChildren(t, m)
		for _, c := range cases {
			s.Get(c.path, 200).Is(t, c.body)
		}
		// The handler sends SIGTERM to a child that it has just started. The child must not lose the signal.
		for range 20 {
			s.Get("/kill", 200).Is(t, "-15")
		}
		// For each process that runs handlers, multiprocessing may keep two helper processes: the resource tracker for
		// shared memory, and the forkserver.
		left := s.Children()
		fapwstest.Truef(t, len(left) <= 2*len(s.Handlers()), "children are left: %v", left)
		s.Get("/executor/kept", 200).Is(t, "42")
		with := slices.Collect(maps.Keys(s.Children()))
		s.Stop()
		// multiprocessing ends its processes in an atexit function.
		fapwstest.HaveEnded(t, "the processes of the application end with it", with...)
	})
}

func TestPreloadedLibrariesArePreloadedIntoChildren(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `import os, subprocess
def show(environ, start_response):
    return [subprocess.check_output(
        "echo $LD_PRELOAD $_FAPWS_LIBRARY; grep -o libutil.so.1 /proc/$$/maps | head -1", shell=True)]
PATHS = [("/", show)]
`)
	s := fapwstest.Command{Script: script, Env: []string{"LD_PRELOAD=libutil.so.1 libm.so.6"}}.Serve(t, fapwstest.Workers)
	s.Get("/", 200).Is(t, "libutil.so.1 libm.so.6\nlibutil.so.1\n")
}

// Debuggers open each library of a process by its path in the list of the dynamic loader. If this path were in
// /proc/self, a debugger would open one of its own files.
func TestDebuggersFindTheLibraries(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `import ctypes
class Info(ctypes.Structure):
    _fields_ = [("addr", ctypes.c_void_p), ("name", ctypes.c_char_p)]
def show(environ, start_response):
    names = []
    each = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(each(lambda info, size, data: names.append(info[0].name.decode()) or 0), None)
    return "\n".join(names)
PATHS = [("/", show)]
`)
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		// The path of the copy contains a space, which is not possible in LD_PRELOAD.
		for _, program := range []string{fapwstest.Binary(t), fapwstest.CopyOfProgram(t)} {
			names := strings.Split(fapwstest.Command{Program: program, Script: script}.Serve(t, m).Get("/", 200).Text, "\n")
			fapwstest.Truef(t, !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "/proc/") }),
				"libraries: %q", names)
			if image := fapwstest.Image(program); fapwstest.IsWheel(t) && !slices.Contains(names, image) {
				t.Errorf("%s is not among the libraries %q", image, names)
			}
		}
	})
}

func TestChildrenInheritNoDescriptorOfTheServer(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		s := fapwstest.Command{Script: "children.py", Args: []string{folder},
			Flags: []string{"--bind", "unix:" + folder + "/socket", "--bind", "[::1]:0"}}.Serve(t, m)
		other := s.Says(`http://(\[::1\]:\d+)/`)[1]
		idle := []*fapwstest.Client{s.Dial(), s.Dial(), fapwstest.Dial(t, "unix", folder+"/socket"),
			fapwstest.Dial(t, "tcp", other)}
		for _, w := range idle {
			w.Fetch("/").Is(t, "quick")
		}
		var sockets [][]any
		var own string
		body := s.Get("/after-fork", 200).Text
		fapwstest.Mustf(t, json.Unmarshal([]byte(body), &[]any{&sockets, &own}), "%q", body)
		fapwstest.Truef(t, len(sockets) == 1 && sockets[0][0] == own, "a forked child has the sockets %v, its own is %s",
			sockets, own)
		body = s.Get("/after-exec", 200).Text
		fapwstest.Truef(t, !strings.Contains(body, "socket:") && !strings.Contains(body, "anon_inode"),
			"a program has open: %s", body)
		for _, w := range idle {
			w.Fetch("/").Is(t, "quick")
		}
	})
}

func TestLingeringChildKeepsNoConnectionOrAddressOpen(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s, folder := serveChildren(t, m)
		defer fapwstest.Write(t, folder+"/go", "")
		bystander := s.Dial()
		bystander.Fetch("/").Is(t, "quick")

		w := s.DialSend(fapwstest.Get("/linger", "Connection: close"))
		w.Answer().Is(t, "left a child")
		w.Closed()
		w = s.Dial()
		w.Send("GET /linger HTTP/1.0\r\n\r\n") // only the end of the connection ends the body
		w.Answer().Is(t, "left a child")
		bystander.Fetch("/", "Connection: close").Is(t, "quick")
		bystander.Closed()
		fapwstest.Equal(t, len(s.Children()), 2)

		s.Stop()
		ln, err := net.Listen("tcp", s.Address)
		fapwstest.Mustf(t, err, "the address is still taken")
		ln.Close()
	})
}

// The supervisor neither kills the child nor waits for it, because the child belongs to the application.
func TestChildOutlivesItsReplacedWorker(t *testing.T) {
	t.Parallel()
	s, folder := serveChildren(t, fapwstest.Workers)
	defer fapwstest.Write(t, folder+"/go", "")
	s.Get("/linger", 200)
	before := s.Handlers()
	left := slices.Collect(maps.Keys(s.Children()))
	s.Signal(syscall.SIGHUP)
	s.HasWorkers(2, before...)
	fapwstest.Truef(t, len(left) == 1 && syscall.Kill(left[0], 0) == nil, "children before: %v; they are gone", left)
	hasNoZombies(t, s.Cmd.Process.Pid)
	s.Get("/", 200).Is(t, "quick")
}

// The kernel delivers TERM and INT to process 1 only if process 1 has handlers for these signals.
func TestProcess1ReapsOrphansAndStopsOnTERMAndINT(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/orphans.py", `
import os, subprocess
def orphan(environ, start_response):
    subprocess.check_call(["sh", "-c", "true >/dev/null &"])
    return "%d %d" % (os.getpid(), os.getppid())
PATHS = [("/", orphan)]
`)
	namespace := "unshare --pid --fork --mount-proc"
	if os.Geteuid() != 0 {
		namespace += " --user --map-root-user"
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := fapwstest.Command{Script: script, Shell: "set -- " + namespace + ` "$@"`}.Serve(t, fapwstest.Threads)
		for range 10 {
			got := s.Get("/", 200).Text
			fapwstest.Needf(t, strings.HasSuffix(got, " 1"), "worker and its parent: %s", got)
		}
		first := s.Workers()
		fapwstest.Needf(t, len(first) == 1, "children of unshare: %v", first)
		fapwstest.Eventually(t, "no zombies, and one worker", func() bool {
			states := slices.Collect(maps.Values(fapwstest.ChildrenOf(t, first[0])))
			return len(states) == 1 && states[0] != "Z"
		})
		fapwstest.Kill(t, sig, first[0])
		s.EndsWith(0)
	}
}
