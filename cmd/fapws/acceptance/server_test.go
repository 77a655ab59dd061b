// Package acceptance checks what fapws promises its users, claim by claim, as a
// client on the wire or the caller of the command sees it: through the built
// executable (FAPWS_BIN, default build/fapws), over real sockets, in each mode.
// What it serves are the small scripts in testdata.
package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds the wait for what should happen at once, so that a test fails
// rather than hangs; nothing waits that long when all is well.
const patience = 5 * time.Minute

// mode is a way to serve a script.
type mode struct {
	name  string
	flags []string
}

// modes are those that every behaviour is tested in.
var modes = []mode{
	{"threads", nil},
	{"inline", []string{"--threads", "0"}},
	{"workers", []string{"--workers", "2"}},
}

// forks is another one, for synchronous handlers that remember nothing between requests.
var forks = mode{"fork", []string{"--fork"}}

func (m mode) inline() bool { return m.name == "inline" }

func (m mode) forks() bool { return m.name == forks.name }

func (m mode) workers() bool { return m.name == "workers" }

// inModes runs a test in each mode, beside other tests.
func inModes(t *testing.T, test func(t *testing.T, m mode)) {
	t.Helper()
	inEach(t, modes, test)
}

// inModesAndForks runs a test in each mode, and with a process for each request.
func inModesAndForks(t *testing.T, test func(t *testing.T, m mode)) {
	t.Helper()
	inEach(t, append(slices.Clone(modes), forks), test)
}

// inOneProcess runs a test in the modes with one process: it looks at that, or
// at what the script remembers there.
func inOneProcess(t *testing.T, test func(t *testing.T, m mode)) {
	t.Helper()
	inEach(t, modes[:2], test)
}

// only, from the environment, names the mode to test in, for when all of them
// would take too long (with the race detector).
var only = os.Getenv("FAPWS_ONLY_MODE")

func inEach(t *testing.T, modes []mode, test func(t *testing.T, m mode)) {
	t.Helper()
	t.Parallel()
	for _, m := range modes {
		if only != "" && m.name != only {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

// command is fapws, not started yet.
type command struct {
	flags  []string
	script string     // in testdata, or an absolute path
	args   []string   // of the script
	env    []string   // "NAME=value", on top of a clean one
	dir    string     // to start in; empty: that of the test
	shell  string     // text of sh that goes before, such as "ulimit -n 64"
	files  []*os.File // that become its descriptors 3 and on

	program string // another than binary

	// complains says that the server is meant to report errors. Otherwise a
	// traceback among its messages fails the test.
	complains bool
	crashes   bool // C code of the script is meant to crash
}

// server is a running fapws.
type server struct {
	t              *testing.T
	address        string // host:port
	url            string // without a slash at the end
	cmd            *exec.Cmd
	stdout, stderr *output
	complains      bool
	crashes        bool
	exited         chan struct{} // closed at its end
}

var bannerURL = regexp.MustCompile(`(?m)^fapws \S+ +http://(\S+)/ .*\n`)

// serve starts fapws with flags and a script in testdata, and waits until it
// listens. At the end of the test it must stop in good order, and must not
// have reported an error.
func serve(t *testing.T, m mode, script string, flags ...string) *server {
	t.Helper()
	return command{flags: flags, script: script}.serve(t, m)
}

func (c command) serve(t *testing.T, m mode) *server {
	t.Helper()
	c.flags = slices.Concat([]string{"--bind", "127.0.0.1:0"}, m.flags, c.flags)
	s := c.start(t)
	s.address = s.stderr.await(t, bannerURL)[1]
	s.url = "http://" + s.address
	return s
}

// start starts fapws with the flags given and nothing else.
func (c command) start(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, cmd: c.prepare(t), stdout: newOutput(), stderr: newOutput(), complains: c.complains, crashes: c.crashes, exited: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.stdout, s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // its result is in ProcessState
		s.stdout.close()
		s.stderr.close()
		close(s.exited)
	}()
	t.Cleanup(s.cleanup)
	return s
}

// run runs fapws to its end.
func (c command) run(t *testing.T) (code int, stdout, stderr string) {
	t.Helper()
	c.complains = true
	s := c.start(t)
	return s.ended(), s.stdout.String(), s.stderr.String()
}

func (c command) prepare(t *testing.T) *exec.Cmd {
	t.Helper()
	program := c.program
	if program == "" {
		program = binary(t)
	}
	line := slices.Clone(c.flags)
	if c.script != "" {
		line = append(line, testdata(t, c.script))
	}
	if len(c.args) > 0 {
		line = append(append(line, "--"), c.args...)
	}
	cmd := exec.Command(program, line...)
	if c.shell != "" {
		cmd = exec.Command("/bin/sh", slices.Concat([]string{"-c", c.shell + ` && exec "$@"`, "sh", program}, line)...)
	}
	cmd.Dir, cmd.ExtraFiles = c.dir, c.files
	cmd.Env = slices.Concat(cleanEnviron(), c.env)
	return cmd
}

// cleanup ends the server, if the test has not, and looks at how it ended.
func (s *server) cleanup() {
	select {
	case <-s.exited:
	default:
		s.signal(syscall.SIGTERM)
		if code := s.ended(); code != 0 {
			s.t.Errorf("fapws ended with code %d", code)
		}
	}
	said := s.stderr.String()
	for _, bad := range []string{"panic:", "fatal error:", "SIGSEGV", "Fatal Python error", "WARNING: DATA RACE"} {
		if strings.Contains(said, bad) && !s.crashes {
			s.t.Errorf("fapws has crashed: %q", bad)
		}
	}
	if !s.complains && strings.Contains(said, "Traceback") {
		s.t.Error("fapws reports an error")
	}
	if s.t.Failed() {
		s.t.Logf("%s\nstdout:\n%.2000s\nstderr:\n%.8000s", s.cmd, s.stdout, said)
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("signal %v: %v", sig, err)
	}
}

// ended waits for the end of the server and returns its exit code, below zero
// after a signal.
func (s *server) ended() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Signal(syscall.SIGABRT) // shows where its goroutines are
		<-s.exited
		s.t.Error("fapws does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// says waits until the server has written a match of pattern to stderr.
func (s *server) says(pattern string) []string {
	s.t.Helper()
	return s.stderr.await(s.t, regexp.MustCompile(pattern))
}

func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FAPWS_BIN")
	if path == "" {
		path = filepath.Join("..", "..", "..", "build", "fapws")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (./build.sh build makes it)", err)
	}
	return path
}

func testdata(t *testing.T, script string) string {
	t.Helper()
	if filepath.IsAbs(script) {
		return script
	}
	path, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// allowRoot lets root run the tests.
const allowRoot = "FAPWS_ALLOW_ROOT=1"

// loadPatience bounds how long a worker loads, as patience does: a busy machine needs more than the default.
const loadPatience = "FAPWS_LOAD_TIMEOUT=10m"

// cleanEnviron is the environment without what would change fapws or Python.
func cleanEnviron() (env []string) {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "FAPWS_") && !strings.HasPrefix(name, "PYTHON") && name != "PORT" && name != "VIRTUAL_ENV" {
			env = append(env, pair)
		}
	}
	return append(env, "PYTHONDONTWRITEBYTECODE=1", allowRoot, loadPatience)
}

// write makes a file for a test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	// It may be a program. A child that another test forks meanwhile would have the
	// file open for writing until its exec, and nobody could run it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
