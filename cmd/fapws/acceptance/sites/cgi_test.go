package sites_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func configured(t *testing.T, m fapwstest.Mode, config string, files map[string]string) (s *fapwstest.Server,
	folder string) {
	t.Helper()
	folder = fapwstest.Files(t, files)
	file := fapwstest.Write(t, folder+"/fapws.toml", config)
	return fapwstest.Command{Flags: []string{"-c", file}, Dir: folder}.Serve(t, m), folder
}

func shell(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }

const plain = `printf 'Content-Type: text/plain\n\n'`

const cgiBin = `
[[host]]
name = "site.example"
default = true
root = "site"
[[host.route]]
prefix = "/cgi-bin/"
cgi = "bin"
[[host.route]]
match = "*.sh"
cgi = { interpreters = { sh = "sh -e" }, env = { MINE = "yes" } }
`

func TestCGIRunsPrograms(t *testing.T) {
	t.Parallel()
	s, folder := configured(t, fapwstest.Threads,
		cgiBin+"[[host.route]]\nprefix = \"/slow/\"\ncgi = \"slow\"\n[[host.route]]\nprefix = \"/hang/\"\ncgi = "+
			"\"hang\"\ntimeout = \"2s\"\n", map[string]string{
			"bin/dir/env": shell(plain, "env", "pwd"),
			"bin/cat":     shell(plain, "exec cat"),
			"bin/status":  shell(`printf 'Status: 404 Gone Fishing\nContent-Type: text/plain\n\nno'`),
			"bin/move":    shell(`printf 'Location: http://other.example/\n\n'`),
			"bin/local":   shell(`printf 'Location: /page.txt\n\n'`),
			"bin/warn":    shell(plain, `printf 'one\ntwo\r\noh dear' >&2; exit 4`),
			"bin/listen":  shell(`printf 'Fapws-Channel: news\nX-Mine: 1\n\n: hello\n\n'`),
			"bin/much": shell(plain, `i=0; while [ $i -lt 500 ]; do echo "line $i" >&2; i=$((i+1)); done; `+
				`head -c 100000 /dev/zero | tr '\0' x >&2`),
			"bin/nph-raw": shell(`printf 'HTTP/1.0 203 Mine\r\nContent-Type: text/x\r\n\r\nraw'`),
			"bin/rubbish": shell("echo rubbish"),
			"bin/text":    "the source",
			"hang/hang": shell("echo $$ >pid.new; mv pid.new pid; (trap '' TERM; sh -c 'echo $PPID >child.new; mv " +
				"child.new child; exec sleep 1000') & sleep 1000"),
			"slow/wait": shell("touch here.$$; until [ $(ls here.* | wc -l) = 8 ]; do sleep 0.05; done", plain, "echo waited"),
			"slow/turn": shell("touch turn.$$", plain, "[ $(ls turn.* | wc -l) -le 3 ] || echo too many",
				"until [ -e go ]; do sleep 0.05; done", "rm turn.$$", "echo $QUERY_STRING"),
			"site/page.txt":   "the page",
			"site/sub/run.sh": "echo 'Content-Type: text/plain'; echo; echo $MINE $PATH_INFO $-",
		})
	a := s.Ask(fapwstest.Request("POST", "/cgi-bin/dir/env/ex%20tra?q=1", "0123456789", "Content-Type: text/x", "X-One: 1",
		"Proxy: http://evil/", "Cookie: a=b", "X_One: no")).Want(t, 200)
	env := map[string]string{}
	for _, line := range strings.Split(a.Text, "\n") {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	_, port, _ := strings.Cut(s.Address, ":")
	for name, want := range map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "test", "SERVER_PORT": port,
		"REQUEST_METHOD": "POST", "REQUEST_URI": "/cgi-bin/dir/env/ex%20tra?q=1", "QUERY_STRING": "q=1",
		"SCRIPT_NAME": "/cgi-bin/dir/env", "SCRIPT_FILENAME": folder + "/bin/dir/env", "PATH_INFO": "/ex tra",
		"PATH_TRANSLATED": folder + "/site/ex tra", "DOCUMENT_ROOT": folder + "/site", "CONTENT_LENGTH": "10",
		"CONTENT_TYPE": "text/x", "REMOTE_ADDR": "127.0.0.1", "REMOTE_HOST": "127.0.0.1", "REQUEST_SCHEME": "http",
		"HTTP_X_ONE": "1", "HTTP_COOKIE": "a=b", "HTTP_HOST": "test", "PWD": folder + "/bin/dir",
	} {
		fapwstest.Equalf(t, env[name], want, "%s", name)
	}
	if !strings.HasPrefix(env["SERVER_SOFTWARE"], "fapws/") || env["REMOTE_PORT"] == "" || env["PATH"] == "" {
		t.Errorf("SERVER_SOFTWARE=%q REMOTE_PORT=%q PATH=%q", env["SERVER_SOFTWARE"], env["REMOTE_PORT"], env["PATH"])
	}
	for name := range env {
		fapwstest.Truef(t, name != "HTTP_PROXY" && !strings.HasPrefix(name, "FAPWS") && !strings.HasPrefix(name, "PYTHON") &&
			name != "HOME", "%s is passed on", name)
	}
	for _, size := range []int{1, 100_000, 1_000_000} {
		body := strings.Repeat("x", size)
		s.Ask(fapwstest.Request("POST", "/cgi-bin/cat", body)).Is(t, body)
	}
	s.Ask(fapwstest.Request("PUT", "/cgi-bin/cat", "", "Transfer-Encoding: chunked")+"4\r\nabcd\r\n0\r\n\r\n").Is(t,
		"abcd")
	fapwstest.Equal(t, s.Get("/cgi-bin/status", 404).Want(t, 404, "no").Status, "404 Gone Fishing")
	s.Get("/cgi-bin/move", 302).Field(t, "Location", "http://other.example/")
	s.Get("/cgi-bin/local", 200).Is(t, "the page")
	s.Get("/cgi-bin/nph-raw", 203).Want(t, 203, "raw")
	w := s.DialSend(fapwstest.Request("HEAD", "/cgi-bin/status", ""))
	a = w.AnswerTo("HEAD")
	fapwstest.Truef(t, a.StatusCode == 404 && a.Text == "", "HEAD: %d %q", a.StatusCode, a.Text)
	s.GetLogs("/cgi-bin/rubbish", 502, `/bin/rubbish: invalid header line`)
	s.Get("/sub/run.sh/x", 200).Want(t, 200, "yes /x", "e")
	s.GetLogs("/cgi-bin/text", 403, `/bin/text: sent 403: the file is not executable; chmod \+x `+folder+`/bin/text\n`)
	s.Get("/cgi-bin/", 403)
	s.Get("/cgi-bin/../bin/text", 404)
	s.Get("/cgi-bin/warn", 200)
	for _, line := range []string{"one", "two", "oh dear"} {
		s.Says(`error client 127\.0\.0\.1:\d+: request \w+: ` + folder + `/bin/warn: ` + line + `\n`)
	}
	s.Says(`/bin/warn: exit status 4`)
	s.GetLogs("/cgi-bin/much", 200, `\.\.\. and 301 more lines`)
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), "bin/much"), 201, "lines")
	w = s.DialGet("/cgi-bin/listen")
	h := w.Head("GET").Header
	fapwstest.Truef(t, h.Get("Content-Type") == "text/event-stream" && h.Get("X-Mine") == "1" &&
		h.Get("Fapws-Channel") == "", "%v", h)
	reads(w, t, "retry: 3000")
	reads(w, t, ": hello")
	wait := fapwstest.InBackground(8, func(int) { s.Get("/slow/wait", 200).Is(t, "waited\n") })
	s.Get("/page.txt", 200).Is(t, "the page")
	wait()
	// Three programs for requests of one connection run at the same time, and their responses are sent in the order of
	// the requests.
	w = s.Dial()
	for i := range 8 {
		w.Get(fmt.Sprint("/slow/turn?", i))
	}
	fapwstest.Eventually(t, "three run", func() bool {
		run, _ := filepath.Glob(folder + "/slow/turn.*")
		return len(run) == 3
	})
	fapwstest.Write(t, folder+"/slow/go", "")
	for i := range 8 {
		w.Answer().Is(t, fmt.Sprintln(i))
	}
	written := func(name string) string { return strings.TrimSpace(fapwstest.TextOf(t, folder+"/hang/"+name)) }
	fapwstest.Eventually(t, "a program is in time to say which process it is", func() bool {
		s.Get("/hang/hang", 504)
		return written("pid") != "" && written("child") != ""
	})
	for _, name := range []string{"pid", "child"} {
		number, _ := strconv.Atoi(written(name))
		fapwstest.HaveEnded(t, name+" has ended", number)
	}
}

func TestProgramsLeaveNeitherProcessesNorDescriptors(t *testing.T) {
	t.Parallel()
	s, _ := configured(t, fapwstest.Threads, cgiBin, map[string]string{
		"bin/look": shell(plain,
			// Read the file with the shell's own commands, because a shell blocks signals for a moment when it starts a
			// program.
			`while read -r line; do echo "$line"; done </proc/$$/status`, "ls -l /proc/$$/fd"),
		"bin/one": shell(plain, "echo one"),
		"site/x":  "x",
	})
	a := s.Get("/cgi-bin/look", 200).Want(t, 200, "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000")
	for _, open := range regexp.MustCompile(`(\d+) -> (.*)`).FindAllStringSubmatch(a.Text, -1) {
		// Descriptors for the script itself and for /dev/null are from the shell, not inherited from the server.
		fapwstest.Truef(t, open[1] <= "2" || strings.HasSuffix(open[2], "/look") || strings.HasSuffix(open[2], "/dev/null"),
			"inherited: %s", open[0])
	}
	before := s.OpenFiles()
	statuses := make(chan int, 200)
	fapwstest.AtOnce(25, func(int) {
		w := s.Dial()
		defer w.Close()
		for range 8 {
			statuses <- w.Fetch("/cgi-bin/one").StatusCode
		}
	})
	close(statuses)
	for status := range statuses {
		fapwstest.Needf(t, status == 200, "%d", status)
	}
	fapwstest.Eventually(t, "no process is left", func() bool { return len(s.Children()) == 0 })
	fapwstest.Eventually(t, "the descriptors are closed", func() bool { return s.OpenFiles() <= before })
}

func TestCGIApplicationRunsPrograms(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		for name, text := range map[string]string{
			"env":   shell(plain, `echo "$SCRIPT_NAME,$PATH_INFO,$QUERY_STRING,$REMOTE_ADDR,$MINE"`),
			"cat":   shell(`printf 'Content-Type: text/plain\nSet-Cookie: mine=1\n\n'`, "exec cat"),
			"hang":  shell("exec sleep 1000"),
			"local": shell(`printf 'Location: /one/there\n\n'`),
			"loop":  shell(`printf "Location: $SCRIPT_NAME\n\n"`),
		} {
			fapwstest.WriteProgram(t, folder+"/"+name, text)
		}
		fapwstest.Write(t, folder+"/run.sh", "echo Content-Type: text/plain; echo; echo run")
		fapwstest.Write(t, folder+"/data", "secret")
		s := fapwstest.Command{Script: "programs.py", Args: []string{folder}}.Serve(t, m)
		s.Get("/cgi-bin/env/more?a=b", 200).Is(t, "/cgi-bin/env,/more,a=b,127.0.0.1,yes\n")
		s.Get("/cgi-bin/run.sh", 200).Is(t, "run\n")
		s.Get("/cgi-bin/local", 200).Is(t, "/one,/there,,127.0.0.1,\n")
		s.Get("/cgi-bin/data", 403)
		s.Get("/cgi-bin/", 403)
		s.Get("/cgi-bin/no", 404)
		s.Get("/timed/hang", 504)
		s.Get("/one", 200).Is(t, "/one,,,127.0.0.1,\n")
		s.Get("/one/x/y", 200).Is(t, "/one,/x/y,,127.0.0.1,\n")
		s.Get("/guarded/env", 403).Want(t, 403, "no")
		const pass = "X-Pass: yes"
		s.Get("/guarded/env/more?a=b", 200, pass).Field(t, "X-Guard", "seen").Is(t, "/guarded/env,/more,a=b,127.0.0.1,yes\n")
		for _, size := range []int{0, 1, 100_000, 300_000, 3_000_000} {
			body := strings.Repeat("x", size)
			s.Ask(fapwstest.Request("POST", "/guarded/cat", body, pass)).Is(t, body).Field(t, "Set-Cookie",
				"mine=1, guard=1; Path=/")
		}
		s.Get("/guarded/no", 404, pass)
		s.Get("/guarded/data", 403, pass)
		s.Get("/guarded/local", 200, pass).Is(t, "/one,/there,,127.0.0.1,\n")
		s.Get("/guarded/loop", 502, pass)
		s.Says(`/loop: requests within requests go too deep`)
		s.Get("/guarded/hang", 504, pass, "X-Timed: yes")
		s.Get("/counting/env", 200).Field(t, "X-Counting", "1").Is(t, "/counting/env,,,127.0.0.1,\n")
		s.GetLogs("/wrong", 500, `a handler returned a program that cannot run: .*/no/such/folder`)
		w := s.Dial()
		for range 3 {
			w.Send(fapwstest.Get("/guarded/env", pass), fapwstest.Get("/one"), fapwstest.Get("/guarded/env", pass))
			w.Answer().Is(t, "/guarded/env,,,127.0.0.1,yes\n")
			w.Answer().Is(t, "/one,,,127.0.0.1,\n")
			w.Answer().Is(t, "/guarded/env,,,127.0.0.1,yes\n")
		}
		idle := func() bool { return len(s.Children()) == 0 }
		fapwstest.Eventually(t, "those before have ended", idle)
		w = s.DialSend(fapwstest.Get("/guarded/hang", pass))
		fapwstest.Eventually(t, "the program runs", func() bool { return !idle() })
		w.Close()
		fapwstest.Eventually(t, "the program has ended", idle)
		s.Signal(syscall.Signal(0))
	})
}

func TestLocalRedirectStaysBelowTheRootPath(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"env": shell(plain, `echo "$SCRIPT_NAME,$PATH_INFO"`),
		"to":  shell(`printf "Location: $PATH_INFO\n\n"`),
	} {
		fapwstest.WriteProgram(t, folder+"/"+name, text)
	}
	s := fapwstest.Command{Script: "programs.py", Args: []string{folder},
		Flags: []string{"--root-path", "/top"}}.Serve(t, fapwstest.Threads)
	for _, path := range []string{"/cgi-bin/to", "/guarded/to"} {
		for _, target := range []string{"/one/x", "/top/one/x"} {
			s.Get("/top"+path+target, 200, "X-Pass: yes").Is(t, "/top/one,/x\n")
			s.Get(path+target, 200, "X-Pass: yes").Is(t, "/top/one,/x\n")
		}
	}
}
