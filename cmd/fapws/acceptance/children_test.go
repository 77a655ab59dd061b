package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// serveChildren serves children.py, which waits for files in folder.
func serveChildren(t *testing.T, m mode) (s *server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return command{script: "children.py", args: []string{folder}}.serve(t, m), folder
}

// Handlers start processes in every way that Python has; how these end is the
// application's to see, and nothing of them stays.
func TestChildren(t *testing.T) {
	cases := []struct{ path, body string }{
		{"/at-import", "[0, 2, 4, 6, 8]"},
		{"/kill", "-15"},
		{"/speaks", "3"},
		{"/in-generator", "parent,0"},
		{"/crowd?500", "500"}, // they end at the same moment
		{"/popens?100", "100"},
		{"/process/fork", "[0, 1, 2, 0, 0, 0]"},
		{"/process/spawn", "[0, 1, 2, 0, 0, 0]"},
		{"/process/forkserver", "[0, 1, 2, 0, 0, 0]"},
		{"/pool/fork", "[0, 2, 4, 6, 8]"},
		{"/pool/spawn", "[0, 2, 4, 6, 8]"},
		{"/executor/fork", "[0, 2, 4, 6, 8]"},
		{"/executor/spawn", "[0, 2, 4, 6, 8]"},
		{"/child-publishes/fork", "publish: a child of the server cannot publish; let it tell its parent what there is to say\nsubscribers: a child of the server does not know them"},
		{"/child-publishes/spawn", "publish: a process of multiprocessing is no part of the server\nsubscribers: a process of multiprocessing is no part of the server"},
	}
	inModes(t, func(t *testing.T, m mode) {
		s, _ := serveChildren(t, m)
		for _, c := range cases {
			s.get(c.path, 200).is(t, c.body)
		}
		for range 20 { // a signal that comes at once is not lost
			s.get("/kill", 200).is(t, "-15")
		}
		// Of multiprocessing only two helpers are left: one looks after shared
		// memory, the other is the forkserver.
		if left := s.children(); len(left) > 2*len(s.handlers()) {
			t.Errorf("children are left: %v", left)
		}
		s.get("/executor/kept", 200).is(t, "42")
		with := s.children()
		s.signal(syscall.SIGTERM)
		s.ended()
		for pid := range with { // multiprocessing ends its own, atexit
			eventually(t, "a process of the application ends with it", func() bool { return syscall.Kill(pid, 0) != nil })
		}
	})
}

// A child has nothing of the server: neither after fork, nor after exec.
func TestChildrensDescriptors(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		s := command{script: "children.py", args: []string{folder}, flags: []string{"--bind", "unix:" + folder + "/socket", "--bind", "[::1]:0"}}.serve(t, m)
		other := s.says(`http://(\[::1\]:\d+)/`)[1]
		idle := []*wire{s.dial(), s.dial(), dial(t, "unix", folder+"/socket"), dial(t, "tcp", other)} // these must stay the server's
		for _, w := range idle {
			w.get("/")
			w.answer().is(t, "quick")
		}
		var seen struct {
			sockets [][]any
			own     string
		}
		body := s.get("/after-fork", 200).body
		if err := json.Unmarshal([]byte(body), &[]any{&seen.sockets, &seen.own}); err != nil {
			t.Fatalf("%v in %q", err, body)
		}
		if len(seen.sockets) != 1 || seen.sockets[0][0] != seen.own {
			t.Errorf("a forked child has the sockets %v, its own is %s", seen.sockets, seen.own)
		}
		if body := s.get("/after-exec", 200).body; strings.Contains(body, "socket:") || strings.Contains(body, "anon_inode") {
			t.Errorf("a program has open: %s", body)
		}
		for _, w := range idle {
			w.get("/")
			w.answer().is(t, "quick")
		}
	})
}

// While a forked child lives, clients see the end of their connections, and
// when the server has ended its address is free.
func TestLingeringChild(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := serveChildren(t, m)
		defer write(t, folder+"/go", "")
		bystander := s.dial() // accepted before the fork
		bystander.get("/")
		bystander.answer().is(t, "quick")

		w := s.dial()
		w.send(get("/linger", "Connection: close"))
		w.answer().is(t, "left a child")
		w.closed()
		w = s.dial()
		w.send("GET /linger HTTP/1.0\r\n\r\n") // only the end of the connection ends the body
		w.answer().is(t, "left a child")
		bystander.send(get("/", "Connection: close"))
		bystander.answer().is(t, "quick")
		bystander.closed()
		if alive := s.children(); len(alive) != 2 {
			t.Errorf("the children did not live so long: %v", alive)
		}

		s.signal(syscall.SIGTERM)
		s.ended()
		ln, err := net.Listen("tcp", s.address)
		if err != nil {
			t.Fatalf("the address is still taken: %v", err)
		}
		ln.Close()
	})
}

// A child that lives on is the application's: when its worker is replaced, it
// is neither ended nor waited for by the supervisor.
func TestChildOfReplacedWorker(t *testing.T) {
	t.Parallel()
	s, folder := serveChildren(t, modes[2])
	defer write(t, folder+"/go", "")
	s.get("/linger", 200)
	before := s.handlers()
	left := slices.Collect(maps.Keys(s.children()))
	s.signal(syscall.SIGHUP)
	eventually(t, "both workers are new", func() bool {
		now := childrenOf(t, s.cmd.Process.Pid)
		_, first := now[before[0]]
		_, second := now[before[1]]
		return len(now) == 2 && !first && !second
	})
	if len(left) != 1 || syscall.Kill(left[0], 0) != nil {
		t.Errorf("children before: %v; they are gone", left)
	}
	for pid, state := range childrenOf(t, s.cmd.Process.Pid) {
		if state == "Z" {
			t.Errorf("the supervisor leaves process %d as a zombie", pid)
		}
	}
	s.get("/", 200).is(t, "quick")
}

// Neither descriptors nor processes add up.
func TestManyChildren(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := serveChildren(t, m)
		mixed := func(from, to int) {
			w := s.dial()
			defer w.Close()
			for i := from; i < to; i++ {
				w.get(fmt.Sprint("/mixed?", i))
				w.answer().is(t, "mixed")
			}
		}
		mixed(0, 200)
		before := s.openFiles()
		for i := range 20 { // a connection has 30 seconds
			mixed(500*i, 500*(i+1))
		}
		eventually(t, "as few descriptors as before", func() bool { return s.openFiles() <= before })
		if left := s.children(); len(left) > 0 {
			t.Errorf("children are left: %v", left)
		}
	})
}

// What a child of the application has started and left comes to process 1 of a
// container, or to a subreaper, which then has to take note of its end.
func TestOrphans(t *testing.T) {
	t.Parallel()
	script := write(t, t.TempDir()+"/orphans.py", `
import subprocess
def orphan(environ, start_response):
    return subprocess.check_output(["sh", "-c", "true >/dev/null & echo $!"])
PATHS = [("/", orphan)]
`)
	const subreaper = `import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])`
	s := command{script: script, shell: "set -- " + python + " -c '" + subreaper + `' "$@"`}.serve(t, modes[2])
	var orphans []int
	for range 20 {
		pid, err := strconv.Atoi(strings.TrimSpace(s.get("/", 200).body))
		if err != nil {
			t.Fatal(err)
		}
		orphans = append(orphans, pid)
	}
	for _, pid := range orphans {
		eventually(t, "an orphan is gone", func() bool { return syscall.Kill(pid, 0) != nil })
	}
	old := s.workers() // none of them was taken for an orphan
	s.signal(syscall.SIGHUP)
	s.hasWorkers(2, old...)
}
