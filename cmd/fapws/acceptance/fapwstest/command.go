package fapwstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type Command struct {
	Flags  []string
	Script string
	Args   []string
	Env    []string // additional environment variables: "NAME=value"
	Dir    string   // working directory; "" means that of the test process
	Shell  string   // shell commands that run first, such as "ulimit -n 64"
	Files  []*os.File

	Program string

	// A traceback on the server's stderr fails the test, unless Complains is true.
	Complains bool
	Crashes   bool
}

// Serve starts a server and returns when the server listens. At the end of the test, the server must stop without an
// error in its messages.
func Serve(t *testing.T, m Mode, script string, flags ...string) *Server {
	t.Helper()
	return Command{Flags: flags, Script: script}.Serve(t, m)
}

func (c Command) Serve(t *testing.T, m Mode) *Server {
	t.Helper()
	c.Flags = slices.Concat([]string{"--bind", "127.0.0.1:0"}, m.Flags, c.Flags)
	return c.Started(t)
}

func (c Command) Started(t *testing.T) *Server {
	t.Helper()
	s := c.Start(t)
	s.Address = s.Stderr.Await(t, BannerURL)[1]
	s.URL = "http://" + s.Address
	return s
}

func (c Command) Start(t *testing.T) *Server {
	t.Helper()
	s := &Server{T: t, Cmd: c.prepare(t), Stdout: NewOutput(), Stderr: NewOutput(), Complains: c.Complains,
		crashes: c.Crashes, Exited: make(chan struct{})}
	s.Cmd.Stdout, s.Cmd.Stderr = s.Stdout, s.Stderr
	Must(t, s.Cmd.Start())
	go func() {
		_ = s.Cmd.Wait()
		s.Stdout.Close()
		s.Stderr.Close()
		close(s.Exited)
	}()
	t.Cleanup(s.cleanup)
	return s
}

func (c Command) Run(t *testing.T) (code int, stdout, stderr string) {
	t.Helper()
	c.Complains = true
	s := c.Start(t)
	return s.Ended(), s.Stdout.String(), s.Stderr.String()
}

func (c Command) Succeeds(t *testing.T) (stdout string) {
	t.Helper()
	code, stdout, stderr := c.Run(t)
	Needf(t, code == 0, "%q: code %d, %s", c.Flags, code, stderr)
	return stdout
}

// Fails starts the server, which must end with this exit code and one line of messages that contains the text want.
func (c Command) Fails(t *testing.T, code int, want string) {
	t.Helper()
	got, _, stderr := c.Run(t)
	Truef(t, got == code && strings.HasPrefix(stderr, "fapws: ") && strings.Contains(stderr, want) &&
		strings.Count(stderr, "\n") == 1, "%q: code %d, %q, want %d, %q", c.Flags, got, stderr, code, want)
}

func (c Command) prepare(t *testing.T) *exec.Cmd {
	t.Helper()
	program := c.Program
	if program == "" {
		program = Binary(t)
	}
	line := slices.Clone(c.Flags)
	if c.Script != "" {
		line = append(line, Testdata(t, c.Script))
	}
	if len(c.Args) > 0 {
		line = append(append(line, "--"), c.Args...)
	}
	cmd := exec.Command(program, line...)
	if c.Shell != "" {
		cmd = exec.Command("/bin/sh", slices.Concat([]string{"-c", c.Shell + ` && exec "$@"`, "sh", program}, line)...)
	}
	cmd.Dir, cmd.ExtraFiles = c.Dir, c.Files
	cmd.Env = slices.Concat(CleanEnviron(), c.Env)
	return cmd
}

func Binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FAPWS_BIN")
	if path == "" {
		path = filepath.Join(Repository, "build", "fapws")
	}
	path, err := filepath.Abs(path)
	Must(t, err)
	_, err = os.Stat(path)
	Needf(t, err == nil, "%v (./build.sh build makes it)", err)
	return path
}

const allowRoot = "FAPWS_ALLOW_ROOT=1"

// CleanEnviron returns the environment without the variables that change fapws or Python, and keeps PYTHONMALLOC, which
// AddressSanitizer needs.
func CleanEnviron() (env []string) {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "FAPWS_") && (!strings.HasPrefix(name, "PYTHON") || name == "PYTHONMALLOC") &&
			name != "PORT" && name != "VIRTUAL_ENV" {
			env = append(env, pair)
		}
	}
	return append(append(env, "PYTHONDONTWRITEBYTECODE=1", allowRoot), serverPatience...)
}

// ServeSlow serves slow.py, which exchanges files with the test in folder, a new directory.
func ServeSlow(t *testing.T, m Mode, flags ...string) (s *Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return Command{Script: "slow.py", Args: []string{folder}, Flags: flags}.Serve(t, m), folder
}

func ServeProxy(t *testing.T, target, lines string, flags ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	file := Write(t, dir+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \""+target+"\"\n"+lines)
	return Command{Flags: append(flags, "-c", file), Dir: dir}.Serve(t, Mode{})
}

func Supervised(t *testing.T, flags ...string) (s *Server, script string) {
	t.Helper()
	script = Copied(t, "workers.py")
	return Command{Script: script, Flags: flags}.Serve(t, Workers), script
}

type Mode struct {
	Name  string
	Flags []string
}

// Each Mode is a way to run handlers. In the mode Forks, handlers must be synchronous and keep no state in memory
// between requests. In the mode Asleep, the state is lost after a while without requests.
var (
	Threads = Mode{"threads", nil}
	Inline  = Mode{"inline", []string{"--threads", "0"}}
	Workers = Mode{"workers", []string{"--workers", "2"}}
	Forks   = Mode{"fork", []string{"--fork"}}
	Asleep  = Mode{"asleep", []string{"--idle-stop", "50ms"}}
)

// Modes contains the modes in which handlers may keep state in memory between requests.
var Modes = []Mode{Threads, Inline, Workers}

func (m Mode) Inline() bool { return m.Name == Inline.Name }

func (m Mode) Forks() bool { return m.Name == Forks.Name }

func (m Mode) Workers() bool { return m.Name == Workers.Name }

// InOneProcess runs a test in the modes Threads and Inline, which have no worker processes. Use InOneProcess for tests
// of package pybridge or of the server's process, and for scripts that keep state in memory.
func InOneProcess(t *testing.T, test func(t *testing.T, m Mode)) {
	t.Helper()
	InEach(t, Modes[:2], test)
}

// OnlyMode limits each test to one mode, because the race detector is too slow for all modes. A test that does not
// support this mode runs in the last mode that it supports.
var OnlyMode = os.Getenv("FAPWS_ONLY_MODE")

func InEach(t *testing.T, modes []Mode, test func(t *testing.T, m Mode)) {
	t.Helper()
	t.Parallel()
	if OnlyMode != "" {
		only := slices.IndexFunc(modes, func(m Mode) bool { return m.Name == OnlyMode })
		if only < 0 {
			only = len(modes) - 1
		}
		modes = modes[only : only+1]
	}
	for _, m := range modes {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}
