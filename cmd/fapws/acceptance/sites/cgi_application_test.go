package sites_test

import (
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
		s.Get("/guarded/env/more?a=b", 200, pass).Field(t, "X-Guard", "seen").Is(t,
			"/guarded/env,/more,a=b,127.0.0.1,yes\n")
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
		s.Get("/wrong", 500)
		s.Says(`a handler returned a program that cannot run: .*/no/such/folder`)
		w := s.Dial()
		for range 3 {
			w.Send(fapwstest.Get("/guarded/env", pass), fapwstest.Get("/one"), fapwstest.Get("/guarded/env", pass))
			w.Answer().Is(t, "/guarded/env,,,127.0.0.1,yes\n")
			w.Answer().Is(t, "/one,,,127.0.0.1,\n")
			w.Answer().Is(t, "/guarded/env,,,127.0.0.1,yes\n")
		}
		idle := func() bool { return len(s.Children()) == 0 }
		fapwstest.Eventually(t, "those before have ended", idle)
		w = s.Dial()
		w.Send(fapwstest.Get("/guarded/hang", pass))
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
