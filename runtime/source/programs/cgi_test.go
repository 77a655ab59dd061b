package programs_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/source/programs"
	"fapws/runtime/waittest"

	"golang.org/x/sys/unix"
)

// shell is a script that answers with text.
func shell(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }

const plain = `printf 'Content-Type: text/plain\n\n'`

func TestVariables(t *testing.T) {
	t.Setenv("SECRET_OF_OURS", "x")
	s := newSite(t, map[string]string{"dir/env.cgi": shell(plain, "env", "pwd", "echo $#")}, nil)
	a := s.ask("POST", "/cgi/dir/env.cgi/extra/a%20b?x=1&y+z", "0123456789", "Content-Type: text/x", "X-One: 1", "X-Two: a", "x-two: b",
		"Cookie: a=1", "Cookie: b=2", "Proxy: http://evil/", "X_One: false", "Authorization: Basic eA==")
	if a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.Text)
	}
	env := map[string]string{}
	for _, line := range strings.Split(a.Text, "\n") {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	host, port, _ := net.SplitHostPort(s.addr)
	for name, want := range map[string]string{
		"CONTENT_LENGTH": "10", "CONTENT_TYPE": "text/x", "GATEWAY_INTERFACE": "CGI/1.1",
		"PATH_INFO": "/extra/a b", "PATH_TRANSLATED": s.folder + "/extra/a b", "QUERY_STRING": "x=1&y+z",
		"REMOTE_ADDR": "127.0.0.1", "REMOTE_HOST": "127.0.0.1", "REQUEST_METHOD": "POST",
		"REQUEST_URI": "/cgi/dir/env.cgi/extra/a%20b?x=1&y+z", "SCRIPT_NAME": "/cgi/dir/env.cgi",
		"SCRIPT_FILENAME": s.folder + "/dir/env.cgi", "DOCUMENT_ROOT": s.folder,
		"SERVER_NAME": "site.example", "SERVER_PORT": port, "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_SOFTWARE": "fapws/test",
		"REQUEST_SCHEME": "http", "HTTP_HOST": "site.example:8080", "HTTP_X_ONE": "1", "HTTP_X_TWO": "a, b",
		"HTTP_COOKIE": "a=1; b=2", "HTTP_AUTHORIZATION": "Basic eA==", "PWD": s.folder + "/dir", "PATH": os.Getenv("PATH"),
	} {
		if env[name] != want {
			t.Errorf("%s=%q, want %q", name, env[name], want)
		}
	}
	if _, err := strconv.Atoi(env["REMOTE_PORT"]); err != nil || host != "127.0.0.1" {
		t.Errorf("REMOTE_PORT=%q", env["REMOTE_PORT"])
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS", "SECRET_OF_OURS", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} {
		if value, ok := env[name]; ok {
			t.Errorf("%s=%q is set", name, value)
		}
	}
	if !strings.Contains(a.Text, "\n"+s.folder+"/dir\n0\n") {
		t.Errorf("not in its folder, or with arguments: %q", a.Text)
	}
	if a := s.get("/cgi/dir/env.cgi", 200); strings.Contains(a.Text, "CONTENT_LENGTH") || strings.Contains(a.Text, "PATH_INFO") ||
		!strings.Contains(a.Text, "QUERY_STRING=\n") {
		t.Errorf("without body and path info: %s", a.Text)
	}
}

func TestBody(t *testing.T) {
	s := newSite(t, map[string]string{
		"cat.cgi":  shell(plain, "exec cat"),
		"deaf.cgi": shell(plain, "echo deaf"),
	}, nil)
	for _, size := range []int{1, 100, 70_000, 200_000, 1_000_000} {
		body := strings.Repeat("x", size-1) + "."
		if a := s.ask("POST", "/cgi/cat.cgi", body); a.Text != body {
			t.Errorf("%d bytes: %d came back, %v", size, len(a.Text), a.Err)
		}
		if a := s.ask("POST", "/cgi/deaf.cgi", body); a.Text != "deaf\n" {
			t.Errorf("%d bytes to who does not listen: %q, %v", size, a.Text, a.Err)
		}
	}
	if a := s.ask("PUT", "/cgi/cat.cgi", "", "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0"); a.Text != "abcd" {
		t.Errorf("chunked: %q", a.Text)
	}
}

func TestAnswers(t *testing.T) {
	scripts := map[string]string{
		"status.cgi":   shell(`printf 'Status: 404 Gone Fishing\r\nContent-Type: text/x\r\nX-A: b\r\nTransfer-Encoding: chunked\r\nConnection: upgrade\r\n\r\nno'`),
		"full.cgi":     shell(`printf 'Location: http://other.example/x\n\n'`),
		"cookie.cgi":   shell(`printf 'Location: /there\nSet-Cookie: a=b\n\n'`),
		"local.cgi":    shell(`printf 'Location: /there?q=1\n\n'; echo ignored`),
		"around.cgi":   shell(`printf 'Location: /cgi/around.cgi\n\n'`),
		"not.cgi":      shell(`printf 'Status: 304\n\n'`),
		"empty.cgi":    shell(`printf 'Status: 201\n\n'`),
		"nph-raw.cgi":  shell(`printf 'HTTP/1.0 203 Mine\r\nServer: me\r\nContent-Type: text/raw\r\n\r\nraw'`),
		"long.cgi":     shell(`printf 'Content-Type: text/x\nContent-Length: 3\n\nabcdef'`),
		"lacking.cgi":  shell(`printf 'Content-Type: text/x\nContent-Length: 30\n\nabcdef'`),
		"silent.cgi":   shell(``),
		"notype.cgi":   shell(`printf 'X-A: b\n\nbody'`),
		"rubbish.cgi":  shell(`echo rubbish`),
		"cut.cgi":      shell(`printf 'Content-Type: text/x\n'`),
		"status1.cgi":  shell(`printf 'Status: 100\n\n'`),
		"folded.cgi":   shell(`printf 'Content-Type: text/x\n folded\n\n'`),
		"nph-bad.cgi":  shell(`printf 'Content-Type: text/x\n\n'`),
		"endless.cgi":  shell(`printf 'X: '; exec tr '\0' x </dev/zero`),
		"fields.cgi":   shell(`yes 'X-A: b'`),
		"noshebang":    "nothing to run",
		"missing.cgi":  "#!/no/such/interpreter\n",
		"twostati.cgi": shell(`printf 'Status: 200\nStatus: 201\n\n'`),
	}
	s := newSite(t, scripts, nil)
	a := s.get("/cgi/status.cgi", 404)
	if a.Status != "404 Gone Fishing" || a.Text != "no" || a.Header.Get("X-A") != "b" || a.Header.Get("Connection") != "" || a.ContentLength != 2 {
		t.Errorf("%s %v %q", a.Status, a.Header, a.Text)
	}
	if a := s.get("/cgi/full.cgi", 302); a.Header.Get("Location") != "http://other.example/x" {
		t.Errorf("%v", a.Header)
	}
	if a := s.get("/cgi/cookie.cgi", 302); a.Header.Get("Set-Cookie") != "a=b" {
		t.Errorf("%v", a.Header)
	}
	if a := s.get("/cgi/local.cgi", 200); a.Text != "there: q=1" {
		t.Errorf("%q", a.Text)
	}
	s.get("/cgi/around.cgi", 502)
	s.get("/cgi/not.cgi", 304)
	if a := s.get("/cgi/empty.cgi", 201); a.ContentLength != 0 {
		t.Errorf("Content-Length %d", a.ContentLength)
	}
	if a := s.get("/cgi/nph-raw.cgi", 203); a.Text != "raw" || a.Header.Get("Server") != "me" || a.Header.Get("Date") == "" || a.ProtoMinor != 1 {
		t.Errorf("%v %q", a.Header, a.Text)
	}
	if a := s.get("/cgi/long.cgi", 200); a.Text != "abc" {
		t.Errorf("%q", a.Text)
	}
	if a := s.get("/cgi/lacking.cgi", 200); a.Err == nil {
		t.Error("a body that is short of its length looks whole")
	}
	for name, why := range map[string]string{
		"silent.cgi": "no response", "notype.cgi": "Content-Type", "rubbish.cgi": "invalid header line", "cut.cgi": "within its header", "status1.cgi": "status",
		"folded.cgi": "invalid header line", "nph-bad.cgi": "invalid status line", "endless.cgi": "exceeds", "fields.cgi": "fields",
		"noshebang": "exec format error", "missing.cgi": "no such file", "twostati.cgi": "more than one status",
	} {
		s.get("/cgi/"+name, 502)
		s.says(filepath.Join(s.folder, name) + ": ")
		s.says(why)
	}
	if a := s.ask("HEAD", "/cgi/status.cgi", ""); a.StatusCode != 404 || a.Text != "" || a.Header.Get("X-A") != "b" {
		t.Errorf("HEAD: %d %v %q", a.StatusCode, a.Header, a.Text)
	}
}

func TestFind(t *testing.T) {
	s := newSite(t, map[string]string{"a.cgi": shell(plain, "echo a"), "sub/b": shell(plain, "echo b$PATH_INFO")}, nil)
	s.write("data.txt", "secret", 0o644)
	s.write(".hidden", shell(plain, "echo hidden"), 0o755)
	outside := t.TempDir() + "/out.cgi"
	if err := os.WriteFile(outside, []byte(shell(plain, "echo out")), 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"out.cgi": outside, "in.cgi": "a.cgi", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(s.folder, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(s.folder, "pipe.cgi"), 0o755); err != nil {
		t.Fatal(err)
	}
	for target, status := range map[string]int{
		"a.cgi": 200, "in.cgi": 200, "sub/b/x/../y": 200, "sub/b/": 200, "./a.cgi": 200, "sub/../a.cgi": 200, "/a.cgi": 200,
		"": 403, "sub": 403, "sub/": 403, "data.txt": 403, "data.txt/x.cgi": 403, "pipe.cgi": 403,
		"out.cgi": 404, "up/a.cgi": 404, ".hidden": 404, "%2e%2e/a.cgi": 404, "no": 404,
	} {
		if a := s.get("/cgi/"+target, status); strings.Contains(a.Text, "secret") {
			t.Errorf("%s gives the text away", target)
		}
	}
	none := newSite(t, map[string]string{"a.cgi": shell(plain, "echo a")}, func(o *programs.CGIOptions) { o.Links = programs.LinksNone })
	if err := os.Symlink("a.cgi", none.folder+"/in.cgi"); err != nil {
		t.Fatal(err)
	}
	none.get("/cgi/in.cgi", 404)
	none.get("/cgi/a.cgi", 200)
}

func TestInterpreter(t *testing.T) {
	s := newSite(t, map[string]string{"a.cgi": shell(plain, "echo a"), "other": "x"}, func(o *programs.CGIOptions) {
		o.Match = []string{"*.cgi", "*.sh"}
		o.Index = []string{"index.sh"}
		o.Interpreters = map[string][]string{".sh": {"/bin/sh", "-e"}}
	})
	s.write("b.sh", plain+"; echo $0 $-", 0o644)
	s.write("index.sh", plain+"; echo index $SCRIPT_NAME", 0o644)
	s.write("c.cgi", shell("echo c"), 0o644)
	if a := s.get("/cgi/b.sh", 200); !strings.Contains(a.Text, s.folder+"/b.sh e") {
		t.Errorf("%q", a.Text)
	}
	if a := s.get("/cgi/", 200); a.Text != "index /cgi/index.sh\n" {
		t.Errorf("%q", a.Text)
	}
	s.get("/cgi/a.cgi", 200)
	s.get("/cgi/c.cgi", 403)
	s.get("/cgi/other", 403)
}

// stillRuns says whether a process of a number in a file is there.
func stillRuns(t *testing.T, file string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return syscall.Kill(pid, 0) == nil
}

func TestTimeoutEndsTheGroup(t *testing.T) {
	const background = `(trap '' TERM; echo $$ >leader; sh -c 'echo $PPID >child; exec sleep 1000') & sleep 1000`
	waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
		s := newSite(t, map[string]string{
			"slow.cgi":  shell(background),
			"begun.cgi": shell(plain, "echo begun", background),
		}, func(o *programs.CGIOptions) { o.Timeout = timeout })
		s.get("/cgi/slow.cgi", 504)
		s.says(fmt.Sprintf("slow.cgi: no output for %v", timeout))
		for _, name := range []string{"leader", "child"} {
			if _, err := os.Stat(filepath.Join(s.folder, name)); err != nil {
				return err.Error()
			}
			waittest.Eventually(t, name+" has ended", func() bool { return !stillRuns(t, filepath.Join(s.folder, name)) })
		}
		a := s.ask("GET", "/cgi/begun.cgi", "")
		if a.StatusCode != 200 {
			return a.Status
		}
		if a.Text != "begun\n" || a.Err == nil {
			t.Errorf("a broken response looks whole: %q %v", a.Text, a.Err)
		}
		return ""
	})
}

// A program that runs on after its response does not keep its place indefinitely.
func TestGoesOnBehindItsAnswer(t *testing.T) {
	waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
		s := newSite(t, map[string]string{"on.cgi": shell(`echo $$ >number`, plain, "echo done", "exec >&- 2>&-", "exec sleep 1000")},
			func(o *programs.CGIOptions) { o.Timeout, o.Gate = timeout, programs.NewGate(1, 10) })
		for range 2 { // the second one needs the place of the first
			if a := s.ask("GET", "/cgi/on.cgi", ""); a.StatusCode != 200 || a.Text != "done\n" {
				return fmt.Sprint(a.Status, a.Text)
			}
		}
		waittest.Eventually(t, "it has ended", func() bool { return !stillRuns(t, filepath.Join(s.folder, "number")) })
		return ""
	})
}

// A program makes its client a listener, and ends.
func TestChannel(t *testing.T) {
	s := newSite(t, map[string]string{"listen.cgi": shell(`printf 'Fapws-Channel: news\nX-Mine: 1\n\n: hello\n\n'`)}, nil)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(waittest.Patience))
	io.WriteString(c, "GET /cgi/listen.cgi HTTP/1.0\r\n\r\n")
	got, buf := "", make([]byte, 4096)
	for !strings.HasSuffix(got, "\r\n\r\nretry: 3000\n\n: hello\n\n") {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got += string(buf[:n])
	}
	if !strings.Contains(got, "Content-Type: text/event-stream\r\n") || !strings.Contains(got, "X-Mine: 1\r\n") || strings.Contains(got, "Fapws") {
		t.Errorf("%q", got)
	}
}

func TestClientLeaves(t *testing.T) {
	s := newSite(t, map[string]string{"slow.cgi": shell(`echo $$ >number.new; mv number.new number`, plain, "echo begun", "exec sleep 1000")}, nil)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /cgi/slow.cgi HTTP/1.1\r\nHost: x\r\n\r\n")
	c.SetDeadline(time.Now().Add(waittest.Patience))
	in := bufio.NewReader(c)
	for line := ""; line != "begun\n"; { // at once, not with the end
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	waittest.Eventually(t, "the program has ended", func() bool { return !stillRuns(t, filepath.Join(s.folder, "number")) })
	if s.said("slow.cgi") > 0 {
		t.Errorf("a client that leaves is no news: %q", s.log)
	}
}

func TestStderr(t *testing.T) {
	s := newSite(t, map[string]string{
		"warns.cgi": shell(plain, `printf 'one\ntwo\r\nthree' >&2`, "echo done"),
		"fails.cgi": shell(plain, `exit 3`),
		"much.cgi":  shell(plain, `i=0; while [ $i -lt 500 ]; do echo "line $i" >&2; i=$((i+1)); done; head -c 100000 /dev/zero | tr '\0' x >&2`),
	}, nil)
	s.get("/cgi/warns.cgi", 200)
	for _, line := range []string{"one", "two", "three"} {
		s.says(" " + s.folder + "/warns.cgi: " + line)
	}
	s.get("/cgi/fails.cgi", 200)
	s.says("fails.cgi: exit status 3")
	s.get("/cgi/much.cgi", 200)
	s.says("... and 301 more lines")
	if n := s.said("much.cgi"); n != 201 {
		t.Errorf("%d lines", n)
	}
}

// Programs inherit nothing but their standard descriptors and no blocked signals,
// and leave nothing behind.
func TestInheritance(t *testing.T) {
	s := newSite(t, map[string]string{"look.cgi": shell(plain,
		`while read -r line; do echo "$line"; done </proc/$$/status`, // a shell that starts a program blocks signals for a moment
		`ls -l /proc/$$/fd`, `ps -o sid= -p $$; echo $$`)}, nil)
	before := descriptors(t)
	var a backendtest.Answer
	for range 5 {
		a = s.get("/cgi/look.cgi", 200)
	}
	if !strings.Contains(a.Text, "SigBlk:\t0000000000000000") || !strings.Contains(a.Text, "SigIgn:\t0000000000000000") {
		t.Errorf("%s", a.Text)
	}
	for _, open := range regexp.MustCompile(`(\d+) -> (.*)`).FindAllStringSubmatch(a.Text, -1) {
		fd, _ := strconv.Atoi(open[1])
		own := fd <= 2 || strings.HasSuffix(open[2], "/look.cgi") // the shell reads it
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !own && (err != nil || flags&unix.FD_CLOEXEC != 0) {
			t.Errorf("descriptor %d is inherited:\n%s", fd, a.Text)
		}
	}
	waittest.Eventually(t, "all descriptors are closed", func() bool { return descriptors(t) <= before })
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Five hundred at once: a bounded number runs, all are answered in time, and no
// process stays.
func TestManyAtOnce(t *testing.T) {
	const many = 500
	gate := programs.NewGate(8, many)
	s := newSite(t, map[string]string{"count.cgi": shell(`mkdir run.$$; set -- run.*; rmdir run.$$`, plain, "echo $#")}, func(o *programs.CGIOptions) { o.Gate = gate })
	var all sync.WaitGroup
	most := make(chan int, many)
	for range many {
		all.Go(func() {
			a := s.get("/cgi/count.cgi", 200)
			n, _ := strconv.Atoi(strings.TrimSpace(a.Text))
			most <- n
		})
	}
	all.Wait()
	close(most)
	for n := range most {
		if n < 1 || n > 8 {
			t.Fatalf("%d at once", n)
		}
	}
	waittest.Eventually(t, "no child is left", childless)
}

func TestBusy(t *testing.T) {
	s := newSite(t, map[string]string{"wait.cgi": shell("touch begun", "while [ ! -e go ]; do sleep 0.05; done", plain)},
		func(o *programs.CGIOptions) { o.Gate = programs.NewGate(1, 1) })
	answers := make(chan backendtest.Answer)
	ask := func() { answers <- s.ask("GET", "/cgi/wait.cgi", "") }
	go ask()
	waittest.Eventually(t, "the first runs", func() bool { _, err := os.Stat(s.folder + "/begun"); return err == nil })
	for range 4 { // one of them waits
		go ask()
	}
	for range 3 {
		if a := <-answers; a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	}
	s.write("go", "", 0o644)
	for range 2 {
		if a := <-answers; a.StatusCode != 200 {
			t.Errorf("%d", a.StatusCode)
		}
	}
}
