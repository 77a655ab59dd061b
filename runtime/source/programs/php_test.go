package programs_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/source/programs"
	"fapws/runtime/waittest"
)

// newPHPSite serves scripts by PHP at "/".
func newPHPSite(t *testing.T, scripts map[string]string, change func(*programs.PHPOptions)) *site {
	t.Helper()
	s := newFolder(t, scripts)
	o := programs.PHPOptions{ScriptOptions: programs.ScriptOptions{Root: s.directory}, Common: programs.Common{Site: programs.Site{Software: "fapws/test"}, Log: s.logged}}
	change(&o)
	php, err := programs.NewPHP(o)
	t.Cleanup(func() { php.Close(time.Second) }) // behind the server
	s.serve("", php, err)
	return s
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

// A script that hangs is ended with its process; others are not disturbed.
func TestTimeout(t *testing.T) {
	inModes(t, func(t *testing.T, mode func(*programs.PHPOptions)) {
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			s := newPHPSite(t, map[string]string{"pid.php": `<?php echo getmypid();`,
				"hang.php": `<?php file_put_contents('pid', getmypid()); while (true) sleep(100);`}, func(o *programs.PHPOptions) { mode(o); o.Timeout = timeout; o.Children = 2 })
			s.get("/hang.php", 504)
			text, err := os.ReadFile(s.directory + "/pid")
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
	if n := s.said("exited unexpectedly"); n > 10 {
		t.Errorf("%d started", n)
	}
}
