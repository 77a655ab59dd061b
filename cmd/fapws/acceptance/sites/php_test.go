package sites_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"mime/multipart"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func need(t *testing.T, file string) {
	t.Helper()
	_, err := os.Stat(file)
	fapwstest.Needf(t, err == nil, "%v: ./build.sh test installs it as root", err)
}

const phpSite = `
max-body-size = "20M"
[[host]]
root = "site"
[[host.route]]
match = "*.php"
php = { mode = "%s", ini = { upload_max_filesize = "20M", post_max_size = "20M", "session.save_path" = "%s" } }
`

func TestPHPRunsByFastCGIAndByCGI(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	for _, how := range []string{"fastcgi", "cgi"} {
		t.Run(how, func(t *testing.T) { phpWorks(t, how) })
	}
}

func phpWorks(t *testing.T, how string) {
	s, folder := configured(t, fapwstest.Threads, fmt.Sprintf(phpSite, how, t.TempDir()), map[string]string{
		"site/index.php":     `<?php echo "index ", $_SERVER['REQUEST_URI'];`,
		"site/dir/index.php": `<?php echo "dir ", $_SERVER['SCRIPT_NAME'];`,
		"site/env.php": `<?php echo $_SERVER['PATH_INFO'] ?? '-', ' ', $_SERVER['REDIRECT_STATUS'], ' ', ` +
			`$_SERVER['SCRIPT_FILENAME'], ' ', $_SERVER['DOCUMENT_ROOT'], ' ', isset($_SERVER['HTTP_PROXY']) ? 'proxy' : '';`,
		"site/count.php": `<?php session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;`,
		"site/form.php":  `<?php echo $_POST['a'], $_GET['b'], $_COOKIE['c'] ?? '';`,
		"site/input.php": `<?php echo md5(file_get_contents('php://input'));`,
		"site/upload.php": `<?php echo $_FILES['f']['error'], ' ', $_FILES['f']['size'], ' ', ` +
			`md5_file($_FILES['f']['tmp_name']);`,
		"site/move.php": `<?php header('Location: /dir/'); setcookie('seen', '1');`,
		"site/gone.php": `<?php http_response_code(410); echo 'gone for good';`,
		"site/bad.php":  `<?php no_such_function();`,
		"site/big.php":  `<?php for ($i = 0; $i < 300; $i++) echo str_repeat("x", 10000);`,
		"site/late.php": `<?php echo "first\n"; @ob_flush(); flush(); while (!file_exists('go')) { usleep(10000); ` +
			`clearstatcache(); } echo "second\n";`,
		"site/pid.php":     `<?php echo getmypid();`,
		"site/picture.jpg": `<?php echo "executed";`,
		"site/plain.txt":   "plain",
	})
	person := visit(t, s.URL)
	for i := 1; i <= 3; i++ {
		person.get("/count.php").want(t, 200, strconv.Itoa(i))
	}
	visit(t, s.URL).get("/count.php").want(t, 200, "1")
	person.get("/move.php").want(t, 302, "Location: /dir/")
	s.Get("/dir/", 200).Is(t, "dir /dir/index.php")
	s.Get("/", 200).Is(t, "index /")
	s.Get("/dir", 301).Field(t, "Location", "/dir/")
	s.Get("/plain.txt", 200).Is(t, "plain")
	s.Get("/env.php/a/b.php", 200, "Proxy: http://evil/").Is(t, "/a/b.php 200 "+folder+"/site/env.php "+folder+"/site ")
	s.Ask(fapwstest.Request("POST", "/form.php?b=2", "a=1", "Content-Type: application/x-www-form-urlencoded",
		"Cookie: c=3")).Is(t, "123")
	for _, size := range []int{100, 300 << 10, 5 << 20} {
		body := strings.Repeat("x", size)
		sum := fmt.Sprintf("%x", md5.Sum([]byte(body)))
		s.Ask(fapwstest.Request("POST", "/input.php", body)).Is(t, sum)
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		io.WriteString(fapwstest.Try(w.CreateFormFile("f", "name.bin")).Must(t), body)
		w.Close()
		s.Ask(fapwstest.Request("POST", "/upload.php", form.String(), "Content-Type: "+w.FormDataContentType())).Is(t,
			fmt.Sprintf("0 %d %s", size, sum))
	}
	s.Get("/gone.php", 410).Want(t, 410, "gone for good")
	s.Ask(fapwstest.Request("POST", "/gone.php", strings.Repeat("x", 3_000_000))).Want(t, 410)
	s.Get("/big.php", 200).Is(t, strings.Repeat("x", 3_000_000))
	s.GetLogs("/bad.php", 500, "undefined function no_such_function")
	a := s.Ask(fapwstest.Request("HEAD", "/env.php", ""))
	fapwstest.Truef(t, a.StatusCode == 200 && a.Text == "", "HEAD: %d %q", a.StatusCode, a.Text)
	for target, status := range map[string]int{"/picture.jpg/x.php": 403, "/no.php": 404, "/no/x.php": 404,
		"/x/%2e%2e/%2e%2e/fapws.toml": 400} {
		fapwstest.Truef(t, !strings.Contains(s.Get(target, status).Text, "executed"), "%s runs a picture", target)
	}
	s.Get("/picture.jpg", 200).Is(t, `<?php echo "executed";`)
	w := s.DialGet("/late.php")
	reads(w, t, "first")
	fapwstest.Write(t, folder+"/site/go", "")
	reads(w, t, "second")
	if how == "cgi" {
		return
	}
	pid := s.Get("/pid.php", 200).Text
	s.Get("/pid.php", 200).Is(t, pid)
	number := fapwstest.Try(strconv.Atoi(pid)).Must(t)
	for _, pid := range s.Handlers() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	fapwstest.HaveEnded(t, "the process of PHP has ended", number)
	<-s.Exited
}

// The script of the setting "front" handles paths for which no file exists. If the setting "command" is not php-cgi and
// ends at once, the server does not start the command for every request.
func TestPHPProcessesThatHangOrAreIdleEnd(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	for _, how := range []string{"fastcgi", "cgi"} {
		s, folder := configured(t, fapwstest.Threads, fmt.Sprintf(`
[[host]]
root = "site"
route = [
  { match = "*.php", php = { mode = "%s", front = "/index.php", children = 2, idle = "1s" }, timeout = "2s" },
  { match = "*.bad", php = { command = "/bin/false" } },
]
`, how), map[string]string{
			"site/index.php": `<?php echo "front ", $_SERVER['REQUEST_URI'], " ", $_SERVER['SCRIPT_NAME'];`,
			"site/pid.php":   `<?php echo getmypid();`,
			"site/hang.php":  `<?php file_put_contents('pid', getmypid()); while (true) sleep(100);`,
			"site/slow.php":  `<?php echo "begun"; @ob_flush(); flush(); sleep(100);`,
			"site/a.bad":     "",
		})
		w := s.Dial()
		for _, target := range []string{"/blog/a%20post?x=1", "/"} {
			w.InTime(target).Is(t, "front "+target+" /index.php")
		}
		ends := func(pid string) {
			fapwstest.HaveEnded(t, "the process has ended", fapwstest.Try(strconv.Atoi(pid)).Must(t))
		}
		var pid []byte
		fapwstest.Eventually(t, "a script is in time to say which process it is", func() bool {
			s.Get("/hang.php", 504)
			pid, _ = os.ReadFile(folder + "/site/pid")
			return len(pid) > 0
		})
		ends(string(pid))
		for range 2 {
			ends(w.InTime("/pid.php").Text)
		}
		if a := w.InTime("/slow.php"); a.StatusCode != 200 || a.Text != "begun" || a.Err == nil {
			t.Errorf("a broken response looks whole: %s %q", a.Status, a.Text)
		}
		for range 20 {
			s.Get("/a.bad", 502)
		}
		s.Says("/bin/false exited unexpectedly: exit status 1")
		n := strings.Count(s.Stderr.String(), "exited unexpectedly")
		fapwstest.Truef(t, n <= 10, "%d started", n)
	}
}

func reads(w *fapwstest.Client, t *testing.T, text string) {
	t.Helper()
	for {
		line, err := w.In.ReadString('\n')
		fapwstest.Mustf(t, err, "no %q", text)
		if strings.Contains(line, text) {
			return
		}
	}
}

func TestPHPIndexAnswersForItsDirectoryOnly(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	s, _ := configured(t, fapwstest.Threads,
		"[[host]]\nroot = \"site\"\napp = \"app.py\"\n[[host.route]]\nmatch = \"*.php\"\nphp = true\n", map[string]string{
			"app.py": "def application(environ, start_response):\n    start_response('200 OK', " +
				"[('Content-Type', 'text/plain')])\n    return [b'app ' + environ['PATH_INFO'].encode()]\n",
			"site/dir/index.php": `<?php echo "php ", $_SERVER['REQUEST_URI'];`,
			"site/bare/a.txt":    "a",
		})
	s.Get("/dir/?x", 200).Is(t, "php /dir/?x")
	s.Get("/dir", 301).Field(t, "Location", "/dir/")
	s.Get("/bare/", 200).Is(t, "app /bare/")
	s.Get("/bare/a.txt", 200).Is(t, "a")
	s.Get("/", 200).Is(t, "app /")
}

func TestMissingPHPIsReportedOnItsPages(t *testing.T) {
	t.Parallel()
	folder := fapwstest.Files(t, map[string]string{"site/a.php": `<?php echo "a";`, "site/b.txt": "b"})
	file := fapwstest.Write(t, folder+"/fapws.toml", fmt.Sprintf(phpSite, "fastcgi", "/tmp"))
	s := fapwstest.Command{Flags: []string{"-c", file}, Dir: folder, Env: []string{"PATH=" + folder}}.Serve(t,
		fapwstest.Threads)
	s.Says(`php-cgi is not installed: apt-get install php-cgi`)
	a := s.Get("/a.php", 502)
	a.Want(t, 502, "php-cgi is not installed: apt-get install php-cgi")
	fapwstest.Truef(t, !strings.Contains(a.Text, "echo"), "the source is sent")
	s.Get("/b.txt", 200).Is(t, "b")
}

// runPHP starts a manager of two PHP processes for FastCGI.
func runPHP(t *testing.T, socket string) {
	t.Helper()
	program := exec.Command("/usr/bin/php-cgi", "-b", socket)
	program.Env = append(os.Environ(), "PHP_FCGI_CHILDREN=2", "PHP_FCGI_MAX_REQUESTS=0")
	fapwstest.Must(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt)
		_ = program.Wait()
	})
}

func TestFastCGIUsesProcessesOfAnotherManager(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	socket := fapwstest.PublicFolder(t) + "/php.sock"
	s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(`
[[host]]
root = "site"
[[host.route]]
match = "*.php"
fastcgi = { address = "unix:%s", front = "/index.php", `+
		`params = { REDIRECT_STATUS = "200", MINE = "yes" }, connections = 2 }
[[host.route]]
prefix = "/gone/"
fastcgi = "127.0.0.1:1"
`, socket), map[string]string{
		"site/index.php":     `<?php echo "front ", $_SERVER['REQUEST_URI'], ' ', $_SERVER['MINE'];`,
		"site/a.php":         `<?php echo "a", $_SERVER['PATH_INFO'] ?? '', md5(file_get_contents('php://input'));`,
		"site/dir/index.php": `<?php echo "dir";`,
		"site/plain.txt":     "plain",
	})
	s.GetLogs("/a.php", 502, `site/a.php: dial unix `)
	s.Get("/gone/x", 502)
	runPHP(t, socket)
	fapwstest.Eventually(t, "PHP answers", func() bool { return s.Ask(fapwstest.Get("/a.php")).StatusCode == 200 })
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 200_000, 3_000_000} {
		body := strings.Repeat("x", size)
		s.Ask(fapwstest.Request("POST", "/a.php/x", body)).Is(t, fmt.Sprintf("a/x%x", md5.Sum([]byte(body))))
	}
	fapwstest.AtOnce(30, func(int) { s.Get("/a.php", 200) })
	s.Get("/dir/", 200).Is(t, "dir")
	s.Get("/no/such/page?q=1", 200).Is(t, "front /no/such/page?q=1 yes")
	s.Get("/plain.txt", 200).Is(t, "plain")
}
