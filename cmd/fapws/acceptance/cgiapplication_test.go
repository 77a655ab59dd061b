package acceptance

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestCGIApplication: contrib's CGIApplication in PATHS, and behind a handler.
func TestCGIApplication(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		for name, text := range map[string]string{
			"env":   shell(plain, `echo "$SCRIPT_NAME,$PATH_INFO,$QUERY_STRING,$REMOTE_ADDR,$MINE"`),
			"cat":   shell(`printf 'Content-Type: text/plain\nSet-Cookie: mine=1\n\n'`, "exec cat"),
			"hang":  shell("exec sleep 1000"),
			"local": shell(`printf 'Location: /one/there\n\n'`),
		} {
			if err := os.Chmod(write(t, folder+"/"+name, text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		write(t, folder+"/run.sh", "echo Content-Type: text/plain; echo; echo run")
		write(t, folder+"/data", "secret")
		s := command{script: "programs.py", args: []string{folder}}.serve(t, m)
		s.get("/cgi-bin/env/more?a=b", 200).is(t, "/cgi-bin/env,/more,a=b,127.0.0.1,yes\n")
		s.get("/cgi-bin/run.sh", 200).is(t, "run\n")
		s.get("/cgi-bin/local", 200).is(t, "/one,/there,,127.0.0.1,\n")
		s.get("/cgi-bin/data", 403)
		s.get("/cgi-bin/", 403)
		s.get("/cgi-bin/no", 404)
		s.get("/timed/hang", 504)
		s.get("/one", 200).is(t, "/one,,,127.0.0.1,\n")
		s.get("/one/x/y", 200).is(t, "/one,/x/y,,127.0.0.1,\n")
		// behind a handler
		s.get("/guarded/env", 403).want(t, 403, "no")
		const pass = "X-Pass: yes"
		s.get("/guarded/env/more?a=b", 200, pass).field(t, "X-Guard", "seen").is(t, "/guarded/env,/more,a=b,127.0.0.1,yes\n")
		for _, size := range []int{0, 1, 100_000, 300_000, 3_000_000} {
			body := strings.Repeat("x", size)
			s.ask(request("POST", "/guarded/cat", body, pass)).is(t, body).field(t, "Set-Cookie", "mine=1, guard=1; Path=/")
		}
		s.get("/guarded/no", 404, pass)
		s.get("/guarded/data", 403, pass)
		s.get("/guarded/local", 200, pass).is(t, "/one,/there,,127.0.0.1,\n")
		s.get("/guarded/hang", 504, pass, "X-Timed: yes")
		s.get("/counting/env", 200).field(t, "X-Counting", "1").is(t, "/counting/env,,,127.0.0.1,\n")
		s.get("/wrong", 500)
		s.says(`a handler let a program answer that cannot: .*/no/such/folder`)
		// one after the other, and at the same time, on a connection
		w := s.dial()
		for range 3 {
			w.send(get("/guarded/env", pass), get("/one"), get("/guarded/env", pass))
			w.answer().is(t, "/guarded/env,,,127.0.0.1,yes\n")
			w.answer().is(t, "/one,,,127.0.0.1,\n")
			w.answer().is(t, "/guarded/env,,,127.0.0.1,yes\n")
		}
		if m.workers() {
			return
		}
		// a client that leaves ends the program
		idle := func() bool { return len(s.children()) == 0 }
		eventually(t, "those before have ended", idle)
		w = s.dial()
		w.send(get("/guarded/hang", pass))
		eventually(t, "the program runs", func() bool { return !idle() })
		w.Close()
		eventually(t, "the program has ended", idle)
		s.signal(syscall.Signal(0))
	})
}
