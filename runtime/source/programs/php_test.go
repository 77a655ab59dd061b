package programs_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/runtime"
	"fapws/runtime/backend"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/conn"
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
	o := programs.PHPOptions{ScriptOptions: programs.ScriptOptions{Root: s.folder}, Site: programs.Site{Software: "fapws/test"}, Log: s.logged}
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
	server, err := runtime.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := conn.Listen("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		s.php.Close(time.Second)
	})
	s.addr = ln.Addr().String()
	if err := server.Serve([]*conn.Listener{ln}, []sites.Site{{Table: []sites.Mount{{Handler: pool, Index: index}}}}, nil); err != nil {
		t.Fatal(err)
	}
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

func TestPHP(t *testing.T) {
	inModes(t, func(t *testing.T, mode func(*programs.PHPOptions)) {
		tmp := t.TempDir()
		s := newPHPSite(t, map[string]string{
			"index.php":     `<?php echo "index ", $_SERVER['REQUEST_URI'], " ", $_SERVER['SCRIPT_NAME'], " ", $_SERVER['PATH_INFO'] ?? '-';`,
			"dir/index.php": `<?php echo "dir";`,
			"dir/info.php": `<?php foreach (['PATH_INFO','SCRIPT_NAME','SCRIPT_FILENAME','PHP_SELF','DOCUMENT_ROOT','QUERY_STRING','REQUEST_METHOD','HTTP_HOST','SERVER_NAME','SERVER_SOFTWARE','REDIRECT_STATUS'] as $k)
				echo "$k=", $_SERVER[$k] ?? '-', "\n"; echo getcwd(), "\n", getenv('SECRET') ?: 'none', "\n", getenv('MINE');`,
			"count.php":   `<?php session_save_path($_SERVER['DOCUMENT_ROOT']); session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;`,
			"form.php":    `<?php echo $_POST['a'], $_GET['b'];`,
			"input.php":   `<?php echo md5(file_get_contents('php://input'));`,
			"upload.php":  `<?php foreach ($_FILES as $f) echo $f['name'], ' ', $f['error'], ' ', $f['size'], ' ', md5_file($f['tmp_name']);`,
			"move.php":    `<?php header('Location: /dir/');`,
			"status.php":  `<?php header('X-Mine: 1'); http_response_code(404); echo 'no such page';`,
			"error.php":   `<?php error_log("to the log"); undefined_function();`,
			"exit.php":    `<?php echo "a"; exit(3);`,
			"length.php":  `<?php header('Content-Length: 3'); echo 'abc';`,
			"big.php":     `<?php for ($i = 0; $i < 10000; $i++) echo str_repeat('0123456789', 10);`,
			"image.jpg":   `<?php echo "executed";`,
			"cookies.php": `<?php setcookie('a', '1'); setcookie('b', '2');`,
			"304.php":     `<?php header('HTTP/1.1 304 Not Modified');`,
			"auth.php":    `<?php echo $_SERVER['PHP_AUTH_USER'], ':', $_SERVER['PHP_AUTH_PW'];`,
		}, func(o *programs.PHPOptions) {
			mode(o)
			o.Env = []string{"MINE=yes", "TMPDIR=" + tmp}
			o.Args = []string{"-d", "post_max_size=20M", "-d", "upload_max_filesize=20M"}
		})
		if a := s.get("/?q=1", 200); a.Text != "index /?q=1 /index.php -" {
			t.Errorf("%q", a.Text)
		}
		if a := s.get("/dir/", 200); a.Text != "dir" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%q %v", a.Text, a.Header)
		}
		want := "PATH_INFO=/extra/x.php\nSCRIPT_NAME=/dir/info.php\nSCRIPT_FILENAME=" + s.folder + "/dir/info.php\nPHP_SELF=/dir/info.php/extra/x.php\n" +
			"DOCUMENT_ROOT=" + s.folder + "\nQUERY_STRING=a=b\nREQUEST_METHOD=GET\nHTTP_HOST=site.example:8080\nSERVER_NAME=site.example\n" +
			"SERVER_SOFTWARE=fapws/test\nREDIRECT_STATUS=200\n" + s.folder + "/dir\nnone\nyes"
		if a := s.get("/dir/info.php/extra/x.php?a=b", 200); a.Text != want {
			t.Errorf("%s\nwant %s", a.Text, want)
		}
		a := s.get("/count.php", 200)
		cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		for _, want := range []string{"2", "3"} {
			if a := s.ask("GET", "/count.php", "", "Cookie: "+cookie); a.Text != want {
				t.Errorf("visit %s of a visitor with %s: %q", want, cookie, a.Text)
			}
		}
		if a := s.ask("POST", "/form.php?b=2", "a=1", "Content-Type: application/x-www-form-urlencoded"); a.Text != "12" {
			t.Errorf("form: %q", a.Text)
		}
		for _, size := range []int{10, 40_000, 200_000, 5_000_000} {
			body := strings.Repeat("x", size)
			sum := fmt.Sprintf("%x", md5.Sum([]byte(body)))
			if a := s.ask("POST", "/input.php", body); a.Text != sum {
				t.Errorf("input of %d bytes: %q", size, a.Text)
			}
			var form bytes.Buffer
			m := multipart.NewWriter(&form)
			part, _ := m.CreateFormFile("f", "name.bin")
			io.WriteString(part, body)
			m.Close()
			if a := s.ask("POST", "/upload.php", form.String(), "Content-Type: "+m.FormDataContentType()); a.Text != fmt.Sprintf("name.bin 0 %d %s", size, sum) {
				t.Errorf("upload of %d bytes: %q", size, a.Text)
			}
			if a := s.ask("POST", "/exit.php", body); a.Text != "a" {
				t.Errorf("%d bytes for nobody: %q", size, a.Text)
			}
		}
		if a := s.get("/move.php", 302); a.Header.Get("Location") != "/dir/" {
			t.Errorf("%v", a.Header)
		}
		if a := s.get("/status.php", 404); a.Text != "no such page" || a.Header.Get("X-Mine") != "1" {
			t.Errorf("%q %v", a.Text, a.Header)
		}
		s.get("/error.php", 500)
		s.says("to the log")
		s.says("Call to undefined function undefined_function()")
		if a := s.get("/length.php", 200); a.Text != "abc" || a.ContentLength != 3 {
			t.Errorf("%q %d", a.Text, a.ContentLength)
		}
		if a := s.get("/big.php", 200); len(a.Text) != 1_000_000 || a.Err != nil {
			t.Errorf("%d bytes, %v", len(a.Text), a.Err)
		}
		for _, target := range []string{"/image.jpg", "/image.jpg/x.php", "/nothing.php", "/dir/../image.jpg", "/.git/x.php"} {
			if a := s.ask("GET", target, ""); a.StatusCode != 403 && a.StatusCode != 404 || strings.Contains(a.Text, "executed") {
				t.Errorf("%s: %d %q", target, a.StatusCode, a.Text)
			}
		}
		if a := s.get("/cookies.php", 200); len(a.Header.Values("Set-Cookie")) != 2 {
			t.Errorf("%v", a.Header)
		}
		s.get("/304.php", 304)
		if a := s.ask("GET", "/auth.php", "", "Authorization: Basic dTpw"); a.Text != "u:p" {
			t.Errorf("%q", a.Text)
		}
		if a := s.ask("HEAD", "/dir/", ""); a.StatusCode != 200 || a.Text != "" {
			t.Errorf("HEAD: %d %q", a.StatusCode, a.Text)
		}
	})
}

func TestFlush(t *testing.T) {
	inModes(t, func(t *testing.T, mode func(*programs.PHPOptions)) {
		s := newPHPSite(t, map[string]string{"flush.php": `<?php echo "first\n"; @ob_flush(); flush(); while (!file_exists('go')) { usleep(10000); clearstatcache(); } echo "second\n";`}, mode)
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(waittest.Patience))
		fmt.Fprintf(c, "GET /flush.php HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		in := bufio.NewReader(c)
		for line := ""; line != "first\n"; {
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		s.write("go", "")
		if rest, err := io.ReadAll(in); err != nil || !strings.Contains(string(rest), "second") {
			t.Errorf("%q, %v", rest, err)
		}
	})
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

func TestProcesses(t *testing.T) {
	needPHP(t)
	s := newPHPSite(t, map[string]string{"pid.php": `<?php echo getmypid();`, "together.php": `<?php touch('at-' . getmypid()); while (count(glob('at-*')) < 3) usleep(1000); echo getmypid();`, "die.php": `<?php posix_kill(getmypid(), 9);`,
		"write.php": `<?php ignore_user_abort(true); file_put_contents('begun', ''); usleep(500000); file_put_contents('done', '');`},
		func(o *programs.PHPOptions) { o.Children = 3; o.MaxRequests = 5; o.Idle = time.Hour })
	pids := map[string]int{}
	for range 12 {
		pids[s.get("/pid.php", 200).Text]++
	}
	if len(pids) != 3 {
		t.Errorf("12 requests, 5 to a process: %v", pids)
	}
	for pid, n := range pids {
		if n > 5 {
			t.Errorf("process %s had %d requests", pid, n)
		}
		if n == 5 {
			waittest.Eventually(t, "a used process has ended", func() bool { return !runs(pid) })
		}
	}
	// as many at the same time as there may be processes: the first ones wait for each other; the others wait for them
	var all sync.WaitGroup
	var mu sync.Mutex
	at := map[string]bool{}
	for range 9 {
		all.Go(func() {
			pid := s.get("/together.php", 200).Text
			mu.Lock()
			at[pid] = true
			mu.Unlock()
		})
	}
	all.Wait()
	if len(at) < 3 || len(at) > 6 {
		t.Errorf("processes %v", at)
	}
	// one that dies, at work or between requests, is replaced at once
	s.get("/die.php", 502)
	pid := s.get("/pid.php", 200).Text
	for range 3 {
		number, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(number, syscall.SIGKILL)
		waittest.Eventually(t, "it has ended", func() bool { return !runs(pid) })
		pid = s.get("/pid.php", 200).Text
	}
	// a client that leaves does not break off what it has begun
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /write.php HTTP/1.1\r\nHost: x\r\n\r\n")
	exists := func(name string) func() bool {
		return func() bool { _, err := os.Stat(s.folder + "/" + name); return err == nil }
	}
	waittest.Eventually(t, "it has begun", exists("begun"))
	c.Close()
	waittest.Eventually(t, "it is done", exists("done"))
	// one stays, and ends with the server
	pid = s.get("/pid.php", 200).Text
	if !runs(pid) {
		t.Error("a process does not stay")
	}
	s.php.Close(waittest.Patience)
	if runs(pid) {
		t.Error("a process is left")
	}
	if left, _ := filepath.Glob(os.TempDir() + "/fapws-php-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A script that its first process dies of is no sign that all would die.
func TestDiesOfItsRequest(t *testing.T) {
	needPHP(t)
	s := newPHPSite(t, map[string]string{"pid.php": `<?php echo getmypid();`, "die.php": `<?php posix_kill(getmypid(), 9);`},
		func(o *programs.PHPOptions) { o.Children = 1 })
	for range 3 {
		s.get("/die.php", 502) // in the first round, of a process that has never answered
		s.get("/pid.php", 200)
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
