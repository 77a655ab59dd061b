package sites_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// need fails where a program of Debian is missing.
func need(t *testing.T, file string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%v: ./build.sh test installs it as root", err)
	}
}

const phpSite = `
max-body-size = "20M"
[[host]]
root = "site"
[[host.route]]
match = "*.php"
php = { mode = "%s", ini = { upload_max_filesize = "20M", post_max_size = "20M", "session.save_path" = "%s" } }
`

// TestPHP: PHP by FastCGI with processes that stay, and by CGI.
func TestPHP(t *testing.T) {
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
		"site/env.php":       `<?php echo $_SERVER['PATH_INFO'] ?? '-', ' ', $_SERVER['REDIRECT_STATUS'], ' ', $_SERVER['SCRIPT_FILENAME'], ' ', $_SERVER['DOCUMENT_ROOT'], ' ', isset($_SERVER['HTTP_PROXY']) ? 'proxy' : '';`,
		"site/count.php":     `<?php session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;`,
		"site/form.php":      `<?php echo $_POST['a'], $_GET['b'], $_COOKIE['c'] ?? '';`,
		"site/input.php":     `<?php echo md5(file_get_contents('php://input'));`,
		"site/upload.php":    `<?php echo $_FILES['f']['error'], ' ', $_FILES['f']['size'], ' ', md5_file($_FILES['f']['tmp_name']);`,
		"site/move.php":      `<?php header('Location: /dir/'); setcookie('seen', '1');`,
		"site/gone.php":      `<?php http_response_code(410); echo 'gone for good';`,
		"site/bad.php":       `<?php no_such_function();`,
		"site/late.php":      `<?php echo "first\n"; @ob_flush(); flush(); while (!file_exists('go')) { usleep(10000); clearstatcache(); } echo "second\n";`,
		"site/pid.php":       `<?php echo getmypid();`,
		"site/picture.jpg":   `<?php echo "executed";`,
		"site/plain.txt":     "plain",
	})
	// persons: the cookie of a session counts
	person := newPerson(t)
	for i := 1; i <= 3; i++ {
		if _, text := person.get(s.URL + "/count.php"); text != strconv.Itoa(i) {
			t.Errorf("visit %d: %q", i, text)
		}
	}
	if _, text := newPerson(t).get(s.URL + "/count.php"); text != "1" {
		t.Errorf("another person: %q", text)
	}
	if resp, text := person.get(s.URL + "/move.php"); text != "dir /dir/index.php" || resp.Request.URL.Path != "/dir/" {
		t.Errorf("redirect: %s %q", resp.Request.URL, text)
	}
	s.Get("/", 200).Is(t, "index /")
	s.Get("/dir", 301).Field(t, "Location", "/dir/")
	s.Get("/plain.txt", 200).Is(t, "plain")
	s.Get("/env.php/a/b.php", 200, "Proxy: http://evil/").Is(t, "/a/b.php 200 "+folder+"/site/env.php "+folder+"/site ")
	s.Ask(fapwstest.Request("POST", "/form.php?b=2", "a=1", "Content-Type: application/x-www-form-urlencoded", "Cookie: c=3")).Is(t, "123")
	for _, size := range []int{100, 300 << 10, 5 << 20} {
		body := strings.Repeat("x", size)
		sum := fmt.Sprintf("%x", md5.Sum([]byte(body)))
		s.Ask(fapwstest.Request("POST", "/input.php", body)).Is(t, sum)
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreateFormFile("f", "name.bin")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, body)
		w.Close()
		s.Ask(fapwstest.Request("POST", "/upload.php", form.String(), "Content-Type: "+w.FormDataContentType())).Is(t, fmt.Sprintf("0 %d %s", size, sum))
	}
	s.Get("/gone.php", 410).Want(t, 410, "gone for good")
	s.Get("/bad.php", 500)
	s.Says("undefined function no_such_function")
	if a := s.Ask(fapwstest.Request("HEAD", "/env.php", "")); a.StatusCode != 200 || a.Text != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.Text)
	}
	// nothing but scripts is run, and no script is sent
	for target, status := range map[string]int{"/picture.jpg/x.php": 403, "/no.php": 404, "/no/x.php": 404, "/x/%2e%2e/%2e%2e/fapws.toml": 400} {
		if a := s.Get(target, status); strings.Contains(a.Text, "executed") {
			t.Errorf("%s runs a picture", target)
		}
	}
	s.Get("/picture.jpg", 200).Is(t, `<?php echo "executed";`)
	// text that PHP flushes comes at once
	w := s.Dial()
	w.Get("/late.php")
	for text := ""; !strings.Contains(text, "first\n"); {
		line, err := w.In.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		text += line
	}
	fapwstest.Write(t, folder+"/site/go", "")
	rest2(w, t, "second")
	if how == "cgi" {
		return
	}
	// a process stays, and ends with the server even if that is killed
	pid := s.Get("/pid.php", 200).Text
	number, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range s.Handlers() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	fapwstest.Eventually(t, "the process of PHP has ended", func() bool { return !fapwstest.Runs(number) })
	<-s.Exited
}

// rest2 waits for a text in the rest of a response.
func rest2(w *fapwstest.Client, t *testing.T, text string) {
	t.Helper()
	for {
		line, err := w.In.ReadString('\n')
		if err != nil {
			t.Fatalf("no %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

// TestPHPBesideAnApplication: index.php answers for its folder before the
// application, which answers for the rest.
func TestPHPBesideAnApplication(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	s, _ := configured(t, fapwstest.Threads, "[[host]]\nroot = \"site\"\napp = \"app.py\"\n[[host.route]]\nmatch = \"*.php\"\nphp = true\n", map[string]string{
		"app.py":             "def application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'app ' + environ['PATH_INFO'].encode()]\n",
		"site/dir/index.php": `<?php echo "php ", $_SERVER['REQUEST_URI'];`,
		"site/bare/a.txt":    "a",
	})
	s.Get("/dir/?x", 200).Is(t, "php /dir/?x")
	s.Get("/dir", 301).Field(t, "Location", "/dir/")
	s.Get("/bare/", 200).Is(t, "app /bare/")
	s.Get("/bare/a.txt", 200).Is(t, "a")
	s.Get("/", 200).Is(t, "app /")
}

// TestPHPMissing: without php-cgi, pages of PHP show how to install it, and the rest works.
func TestPHPMissing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.Write(t, folder+"/site/a.php", `<?php echo "a";`)
	fapwstest.Write(t, folder+"/site/b.txt", "b")
	file := fapwstest.Write(t, folder+"/fapws.toml", fmt.Sprintf(phpSite, "fastcgi", "/tmp"))
	s := fapwstest.Command{Flags: []string{"-c", file}, Dir: folder, Env: []string{"PATH=" + folder}}.Serve(t, fapwstest.Threads)
	s.Says(`php-cgi is not installed: apt-get install php-cgi`)
	a := s.Get("/a.php", 502)
	a.Want(t, 502, "php-cgi is not installed: apt-get install php-cgi")
	if strings.Contains(a.Text, "echo") {
		t.Error("the source is sent")
	}
	s.Get("/b.txt", 200).Is(t, "b")
}

// person is a browser with its cookies.
type person struct {
	t *testing.T
	*http.Client
}

func newPerson(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t, &http.Client{Jar: jar, Timeout: fapwstest.Patience, Transport: &http.Transport{}}}
	t.Cleanup(p.CloseIdleConnections)
	return p
}

func (p *person) get(target string) (*http.Response, string) {
	p.t.Helper()
	return p.read(p.Get(target))
}

func (p *person) post(target string, form url.Values) (*http.Response, string) {
	p.t.Helper()
	return p.read(p.PostForm(target, form))
}

func (p *person) read(resp *http.Response, err error) (*http.Response, string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(text)
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// hidden are the hidden fields of the forms in a page.
func hidden(page string) url.Values {
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], m[2])
	}
	return form
}

// TestDokuWiki: DokuWiki, as Debian has it: log in, write a page, read it,
// upload a picture.
func TestDokuWiki(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	need(t, "/usr/share/dokuwiki/doku.php")
	folder := t.TempDir()
	// Debian has dangling links there, and a directory that only root may enter: of plugins' tests.
	for _, tree := range [][2]string{{"/usr/share/dokuwiki", folder + "/wiki"}, {"/etc/dokuwiki", folder + "/conf"}} {
		if out, err := exec.Command("cp", "-rL", tree[0]+"/.", tree[1]).CombinedOutput(); err != nil && !strings.Contains(string(out), "cannot stat") && !strings.Contains(string(out), "Permission denied") {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, name := range []string{"attic", "cache", "index", "locks", "log", "media", "media_attic", "media_meta", "meta", "pages", "tmp"} {
		if err := os.MkdirAll(filepath.Join(folder, "data", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fapwstest.Write(t, folder+"/conf/local.php", "<?php\n$conf['useacl'] = 1; $conf['superuser'] = '@admin'; $conf['savedir'] = '"+folder+"/data'; $conf['passcrypt'] = 'smd5'; $conf['title'] = 'Our wiki'; $conf['userewrite'] = 2; $conf['send404'] = 1;\n")
	fapwstest.Write(t, folder+"/conf/users.auth.php", fmt.Sprintf("anna:%x:Anna:anna@example.org:admin,user\n", md5.Sum([]byte("secret"))))
	fapwstest.Write(t, folder+"/conf/acl.auth.php", "* @ALL 1\n* @admin 16\n")
	fapwstest.Write(t, folder+"/first.php", "<?php define('DOKU_MAIN_CONF', '"+folder+"/conf/'); define('DOKU_CONF', '"+folder+"/conf/');\n")
	file := fapwstest.Write(t, folder+"/fapws.toml", fmt.Sprintf("[[host]]\nroot = \"wiki\"\nindex = [\"index.html\", \"index.php\"]\n[[host.route]]\nmatch = \"*.php\"\ntimeout = \"10m\"\n"+
		"php = { children = 2, ini = { auto_prepend_file = \"%s/first.php\", \"session.save_path\" = \"%s\" } }\n", folder, folder))
	s := fapwstest.Command{Flags: []string{"-c", file}, Dir: folder}.Serve(t, fapwstest.Threads)

	anna := newPerson(t)
	_, page := anna.get(s.URL + "/")
	if !strings.Contains(page, "Our wiki") {
		t.Fatalf("start page: %.2000s", page)
	}
	// styles and scripts, which PHP makes, and a picture, which is a file
	for _, target := range regexp.MustCompile(`(?:href|src)="(/lib/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		resp, text := anna.get(s.URL + strings.ReplaceAll(target[1], "&amp;", "&"))
		if resp.StatusCode != 200 || text == "" {
			t.Errorf("%s: %d", target[1], resp.StatusCode)
		}
	}
	_, page = anna.get(s.URL + "/doku.php?id=start&do=login")
	form := hidden(page)
	form.Set("u", "anna")
	form.Set("p", "secret")
	form.Set("do", "login")
	if _, page = anna.post(s.URL+"/doku.php?id=start", form); !strings.Contains(page, "do=logout") {
		t.Fatalf("not logged in: %.3000s", page)
	}
	_, page = anna.get(s.URL + "/doku.php?id=notes:first&do=edit")
	form = hidden(page)
	form.Set("wikitext", "====== Notes ======\n\nWritten by **Anna** & others: "+strings.Repeat("long ", 100_000))
	form.Set("do[save]", "1")
	resp, page := anna.post(s.URL+"/doku.php?id=notes:first", form)
	if resp.StatusCode != 200 || !strings.Contains(page, "<strong>Anna</strong> &amp; others") {
		t.Fatalf("not saved: %d %.3000s", resp.StatusCode, page)
	}
	// anybody can read it, also by PATH_INFO
	for _, target := range []string{"/doku.php?id=notes:first", "/doku.php/notes:first"} {
		if _, page = newPerson(t).get(s.URL + target); !strings.Contains(page, "<strong>Anna</strong> &amp; others") {
			t.Errorf("%s: %.2000s", target, page)
		}
	}
	if resp, _ := newPerson(t).get(s.URL + "/doku.php?id=notes:first&do=edit"); resp.StatusCode != 403 && resp.StatusCode != 200 {
		t.Errorf("editing by anybody: %d", resp.StatusCode)
	}
	if resp, _ := newPerson(t).get(s.URL + "/doku.php?id=no:such:page"); resp.StatusCode != 404 {
		t.Errorf("a page that is not there: %d", resp.StatusCode)
	}
	// files for scripts only are not sent: Debian keeps them outside, and dot files are hidden
	s.Get("/.htaccess", 404)
	s.Get("/conf/local.php", 404)
}
