package python_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func leaving(t *testing.T, m fapwstest.Mode, flags ...string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	flags = append([]string{"--access-log", folder + "/access"}, flags...)
	args := []string{folder}
	for _, flag := range flags {
		if flag == "--fork" {
			args = append(args, flag)
		}
	}
	return fapwstest.Command{Script: "left.py", Args: args, Flags: flags}.Serve(t, m), folder
}

func TestHandlerSeesThatItsClientHasDisconnected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ flag, target string }{
		"threads": {"--debug=0", "/elsewhere"}, "asyncio": {"--debug=0", "/awaits"}, "fork": {"--fork", "/elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, folder := leaving(t, fapwstest.Threads, "--h2c", c.flag)
			w := s.Dial()
			w.Get(c.target)
			fapwstest.FileSays(t, folder+"/entered", "False\n")
			w.Reset()
			fapwstest.FileSays(t, folder+"/left", "yes\n")
			fapwstest.FileSays(t, folder+"/access", `"GET `+c.target+` HTTP/1.1" 499 `)

			ctx, reset := context.WithCancel(t.Context())
			var both http.Protocols
			both.SetUnencryptedHTTP2(true)
			h2 := http.Client{Transport: &http.Transport{Protocols: &both}}
			r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+c.target, nil)
			ended := make(chan error)
			go func() {
				_, err := h2.Do(r)
				ended <- err
			}()
			fapwstest.FileSays(t, folder+"/entered", "False\nFalse\n")
			reset() // The client resets the stream, and the connection stays open.
			<-ended
			fapwstest.FileSays(t, folder+"/left", "yes\nyes\n")
			fapwstest.FileSays(t, folder+"/access", `"GET `+c.target+` HTTP/2.0" 499 `)
		})
	}
}

// A client that has shut down its sending side has probably disconnected. If it is still connected, it gets its
// response.
func TestHandlerSeesAtOnceThatItsClientSendsNothingFurther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ flag, target, want string }{
		"threads":            {"--debug=0", "/elsewhere", "still here"},
		"asyncio":            {"--debug=0", "/awaits", "still here"},
		"fork":               {"--fork", "/elsewhere", "still here"},
		"fork, in two parts": {"--fork", "/sends", "one two"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := leaving(t, fapwstest.Threads, c.flag)
			fapwstest.Eventually(t, "the response arrives", func() bool {
				w := s.Dial()
				w.Get(c.target)
				_ = w.Conn.(*net.TCPConn).CloseWrite()
				a, err := w.Reads()
				return err == nil && a.Text == c.want
			})
		})
	}
}

func TestClientThatClosesItsSideOfTLSHasDisconnected(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certificate, key := certtest.NewAuthority(t).For("localhost").Write(folder)
	s := fapwstest.Command{Script: "left.py", Args: []string{folder}, Flags: []string{"--bind", "https://127.0.0.1:0",
		"--certfile", certificate, "--keyfile", key, "--access-log", folder + "/access"}}.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	for i, target := range []string{"/elsewhere", "/awaits"} {
		c := tls.Client(s.Dial().Conn, &tls.Config{InsecureSkipVerify: true})
		w := fapwstest.NewClient(t, c)
		w.Get(target)
		fapwstest.FileSays(t, folder+"/entered", strings.Repeat("False\n", i+1))
		_ = c.CloseWrite()
		if got := w.Rest(); got != "" {
			t.Errorf("%s: %q", target, got)
		}
		fapwstest.FileSays(t, folder+"/access", `"GET `+target+` HTTP/1.1" 499 `)
	}
	fapwstest.FileSays(t, folder+"/left", "yes\nyes\n")
}

// A handler keeps the function fapws.disconnected of its request. Later requests use the same thread and memory, but
// must not change the function's result.
func TestFunctionOfAnEarlierRequestKeepsItsLastResult(t *testing.T) {
	t.Parallel()
	s, folder := leaving(t, fapwstest.Threads, "--threads", "1")
	s.Get("/keeps", 200).Is(t, "[False]")
	w := s.Dial()
	w.Get("/elsewhere")
	fapwstest.FileSays(t, folder+"/entered", "False")
	w.Reset()
	fapwstest.FileSays(t, folder+"/left", "yes")
	s.Get("/keeps", 200).Is(t, "[False, False]")
	s.Get("/keeps", 200).Is(t, "[False, False, False]")
}

func TestWriteRaisesClientDisconnected(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--debug=0", "--fork"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			s, folder := leaving(t, fapwstest.Threads, flag)
			w := s.Dial()
			w.Get("/writes")
			w.Head("GET")
			w.Reset()
			fapwstest.FileSays(t, folder+"/raised", "True\n")
			s.Get("/keeps", 200)
		})
	}
}
