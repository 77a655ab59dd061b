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

func TestHandlerSeesThatItsClientHasDisconnected(t *testing.T) {
	t.Parallel()
	for flag, targets := range map[string][]string{"--threads=1": {"/elsewhere", "/awaits"}, "--fork": {"/elsewhere"}} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			s := fapwstest.Command{Script: "left.py", Args: []string{folder, flag},
				Flags: []string{"--h2c", flag, "--access-log", folder + "/access"}}.Serve(t, fapwstest.Threads)
			s.Get("/keeps", 200).Is(t, "[False]")
			for i, target := range targets {
				w := s.Dial()
				w.Get(target)
				fapwstest.FileSays(t, folder+"/entered", strings.Repeat("False\n", 2*i+1))
				w.Reset()
				fapwstest.FileSays(t, folder+"/left", strings.Repeat("yes\n", 2*i+1))
				fapwstest.FileSays(t, folder+"/access", `"GET `+target+` HTTP/1.1" 499 `)

				ctx, reset := context.WithCancel(t.Context())
				var both http.Protocols
				both.SetUnencryptedHTTP2(true)
				h2 := http.Client{Transport: &http.Transport{Protocols: &both}}
				r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+target, nil)
				ended := make(chan error)
				go func() {
					_, err := h2.Do(r)
					ended <- err
				}()
				fapwstest.FileSays(t, folder+"/entered", strings.Repeat("False\n", 2*i+2))
				reset() // The client resets the stream, and the connection stays open.
				<-ended
				fapwstest.FileSays(t, folder+"/left", strings.Repeat("yes\n", 2*i+2))
				fapwstest.FileSays(t, folder+"/access", `"GET `+target+` HTTP/2.0" 499 `)
			}
			if flag == "--threads=1" {
				// The handler has kept the function fapws.disconnected of the first request. Later requests use the
				// same thread and memory, but must not change the function's result.
				s.Get("/keeps", 200).Is(t, "[False, False]")
				s.Get("/keeps", 200).Is(t, "[False, False, False]")
			}
			w := s.Dial()
			w.Get("/writes")
			w.Head("GET")
			w.Reset()
			fapwstest.FileSays(t, folder+"/raised", "True\n")

			// A client that has shut down its sending side has probably disconnected. If it is still connected, it gets
			// its response.
			for _, target := range append(targets, "/sends") {
				want := map[bool]string{false: "still here", true: "one two"}[target == "/sends"]
				fapwstest.Eventually(t, target+" is answered", func() bool {
					w := s.Dial()
					w.Get(target)
					_ = w.Conn.(*net.TCPConn).CloseWrite()
					a, err := w.Reads()
					return err == nil && a.Text == want
				})
			}
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
		fapwstest.Equalf(t, w.Rest(), "", "%s", target)
		fapwstest.FileSays(t, folder+"/access", `"GET `+target+` HTTP/1.1" 499 `)
	}
	fapwstest.FileSays(t, folder+"/left", "yes\nyes\n")
}
