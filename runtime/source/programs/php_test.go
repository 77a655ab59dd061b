package programs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/logfile"
	"fapws/runtime/runtimetest"
	"fapws/runtime/sites"
	"fapws/runtime/source/programs"
	"fapws/runtime/waittest"
)

// phpSite is a server with PHP at "/".
type phpSite struct {
	t      *testing.T
	folder string
	addr   string
	php    *programs.PHP
	mu     sync.Mutex
	log    string
}

func newPHPSite(t *testing.T, scripts map[string]string, change func(*programs.PHPOptions)) *phpSite {
	t.Helper()
	s := &phpSite{t: t, folder: t.TempDir()}
	for name, text := range scripts {
		s.write(name, text)
	}
	o := programs.PHPOptions{ScriptOptions: programs.ScriptOptions{Root: s.folder}, Common: programs.Common{Site: programs.Site{Software: "fapws/test"}, Log: s.logged}}
	if change != nil {
		change(&o)
	}
	var err error
	if s.php, err = programs.NewPHP(o); err != nil {
		t.Fatal(err)
	}
	pool := backend.New(1000, func(line string) { s.logged("", line) })
	index := pool.Add(s.php)
	cfg := runtimetest.Config()
	cfg.Log = func(_ logfile.Level, line string) { s.logged("", line) }
	t.Cleanup(func() { s.php.Close(time.Second) }) // behind the server
	_, s.addr = runtimetest.Serve(t, cfg, nil, sites.Mount{Handler: pool, Index: index})
	return s
}

func (s *phpSite) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *phpSite) logged(client, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log += client + " " + line + "\n"
}

func (s *phpSite) said(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.log, part)
}

func (s *phpSite) says(part string) {
	s.t.Helper()
	waittest.Eventually(s.t, "the log has "+part, func() bool { return s.said(part) })
}

func (s *phpSite) ask(method, target, body string, fields ...string) backendtest.Answer {
	s.t.Helper()
	return backendtest.Ask(s.t, s.addr, method, target, body, fields...)
}

func (s *phpSite) get(target string, status int) backendtest.Answer {
	s.t.Helper()
	a := s.ask("GET", target, "")
	if a.StatusCode != status {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Errorf("GET %s: %d %.300q, want %d; log:\n%s", target, a.StatusCode, a.Text, status, s.log)
	}
	return a
}

// needPHP fails where php-cgi is not there.
func needPHP(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("php-cgi"); err != nil {
		t.Fatal("php-cgi is not installed; ./build.sh test installs it as root, others: apt-get install php-cgi")
	}
}

// inModes runs a test with processes that stay and with one for each request.
func inModes(t *testing.T, test func(t *testing.T, mode func(*programs.PHPOptions))) {
	needPHP(t)
	t.Run("fastcgi", func(t *testing.T) { test(t, func(o *programs.PHPOptions) {}) })
	t.Run("cgi", func(t *testing.T) { test(t, func(o *programs.PHPOptions) { o.EachOne = true }) })
}

func TestFront(t *testing.T) {
	inModes(t, func(t *testing.T, mode func(*programs.PHPOptions)) {
		s := newPHPSite(t, map[string]string{"index.php": `<?php echo "front ", $_SERVER['REQUEST_URI'], " ", $_SERVER['SCRIPT_NAME'];`, "a.php": `<?php echo "a";`, "b.txt": "b"},
			func(o *programs.PHPOptions) { mode(o); o.Front = "/index.php" })
		for target, want := range map[string]string{"/blog/a%20post?x=1": "front /blog/a%20post?x=1 /index.php", "/a.php": "a", "/": "front / /index.php", "/b.txt": "front /b.txt /index.php"} {
			if a := s.get(target, 200); a.Text != want {
				t.Errorf("%s: %q, want %q", target, a.Text, want)
			}
		}
	})
}

func TestMissing(t *testing.T) {
	for _, each := range []bool{false, true} {
		t.Setenv("PATH", t.TempDir())
		s := newPHPSite(t, map[string]string{"a.php": `<?php echo "a";`}, func(o *programs.PHPOptions) { o.EachOne = each })
		const text = "php-cgi is not installed: apt-get install php-cgi"
		if a := s.get("/a.php", 502); !strings.Contains(a.Text, text) {
			t.Errorf("%q", a.Text)
		}
		if s.php.Missing() != text {
			t.Errorf("%q", s.php.Missing())
		}
	}
}

// A script that hangs is ended with its process; others are not disturbed.
func TestTimeout(t *testing.T) {
	inModes(t, func(t *testing.T, mode func(*programs.PHPOptions)) {
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			s := newPHPSite(t, map[string]string{"pid.php": `<?php echo getmypid();`,
				"hang.php": `<?php file_put_contents('pid', getmypid()); while (true) sleep(100);`}, func(o *programs.PHPOptions) { mode(o); o.Timeout = timeout; o.Children = 2 })
			s.get("/hang.php", 504)
			text, err := os.ReadFile(s.folder + "/pid")
			if err != nil {
				return err.Error()
			}
			waittest.Eventually(t, "the process exited", func() bool { return !runs(string(text)) })
			if a := s.ask("GET", "/pid.php", ""); a.StatusCode != 200 {
				return a.Status
			}
			return ""
		})
	})
}

func runs(pid string) bool {
	var number int
	fmt.Sscan(pid, &number)
	return syscall.Kill(number, 0) == nil
}

func TestIdleProcess(t *testing.T) {
	needPHP(t)
	s := newPHPSite(t, map[string]string{"pid.php": `<?php echo getmypid();`}, func(o *programs.PHPOptions) { o.Children = 1; o.Idle = time.Second })
	for range 2 {
		pid := s.get("/pid.php", 200).Text
		waittest.Eventually(t, "an idle process has ended", func() bool { return !runs(pid) })
	}
}

// A program that is no php-cgi is not started again and again.
func TestEndsAtOnce(t *testing.T) {
	s := newPHPSite(t, map[string]string{"a.php": ``}, func(o *programs.PHPOptions) { o.Command = "/bin/false" })
	for range 20 {
		s.get("/a.php", 502)
	}
	s.says("exited unexpectedly: exit status 1")
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := strings.Count(s.log, "exited unexpectedly"); n > 10 {
		t.Errorf("%d started", n)
	}
}
