package tls_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// The first requests after a change wait until the new code has loaded.
func TestDevAnswersByNewCodeOverTLSAndHTTP2(t *testing.T) {
	t.Parallel()
	const text = "import time; time.sleep(0.3)\n" +
		"def handler(environ, start_response):\n    return '%s ' + environ['wsgi.input'].read().decode()\nPATHS = " +
		"[('/', handler)]\n"
	for _, c := range []struct {
		mode        fapwstest.Mode
		secure, two bool
	}{{fapwstest.Threads, true, false}, {fapwstest.Workers, true, true}, {fapwstest.Inline, false, true}} {
		t.Run(fmt.Sprintf("%s TLS %v HTTP/2 %v", c.mode.Name, c.secure, c.two), func(t *testing.T) {
			t.Parallel()
			ca := certtest.NewAuthority(t)
			path := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), fmt.Sprintf(text, "first"))
			command := fapwstest.Command{Script: path, Flags: []string{"--dev", "--h2c"}, Complains: true}
			var s *fapwstest.Server
			if c.secure {
				command.Flags = append(command.Flags, flagsFor(ca.For("127.0.0.1"), t.TempDir())...)
				s = serve(t, c.mode, command)
			} else {
				s = command.Serve(t, c.mode)
			}
			var protocols http.Protocols
			protocols.SetHTTP1(!c.two)
			protocols.SetHTTP2(c.two && c.secure)
			protocols.SetUnencryptedHTTP2(c.two && !c.secure)
			ask := func(client *http.Client, body, want string) {
				t.Helper()
				answer, err := client.Post(s.URL+"/", "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				got, err := io.ReadAll(answer.Body)
				fapwstest.Truef(t, string(got) == want+" "+body && err == nil && answer.ProtoMajor == 2 == c.two,
					"%s %.80q, %v, not %q", answer.Proto, got, err, want)
			}
			fresh := func() *http.Client {
				transport := &http.Transport{Protocols: &protocols, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
				t.Cleanup(transport.CloseIdleConnections)
				return &http.Client{Transport: transport}
			}
			kept := fresh()
			ask(kept, "", "first")
			for i, clients := range [][]*http.Client{{kept, kept, kept, fresh(), fresh()}, {fresh(), fresh()}} {
				version := fmt.Sprint("version", i)
				fapwstest.Write(t, path, fmt.Sprintf(text, version))
				var all sync.WaitGroup
				for n, client := range clients {
					all.Go(func() { ask(client, strings.Repeat("b", n*30<<10), version) })
				}
				all.Wait()
			}
		})
	}
}

// The client connects before the code changes, and sends its first request while the new code loads. Only the old
// process has the TLS keys of the connection, so the client must connect again.
func TestDevSendsAnOldUnusedTLSConnectionToTheNewCode(t *testing.T) {
	const text = "import time; time.sleep(0.3)\n" +
		"def handler(environ, start_response):\n" +
		"    return '%s %%s %%s' %% (environ['QUERY_STRING'], environ['wsgi.input'].read().decode())\n" +
		"PATHS = [('/', handler)]\n"
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		ca := certtest.NewAuthority(t)
		path := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), fmt.Sprintf(text, "first"))
		command := fapwstest.Command{Script: path, Flags: []string{"--dev"}, Complains: true}
		command.Flags = append(command.Flags, flagsFor(ca.For("127.0.0.1"), t.TempDir())...)
		s := serve(t, m, command)
		for i := range 2 {
			settings := &tls.Config{RootCAs: ca.Pool()}
			early := fapwstest.Try(tls.Dial("tcp", strings.TrimPrefix(s.URL, "https://"), settings)).Must(t)
			transport := &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}
			var used atomic.Bool
			transport.DialTLSContext = func(_ context.Context, network, address string) (net.Conn, error) {
				if used.CompareAndSwap(false, true) {
					return early, nil
				}
				return tls.Dial(network, address, settings)
			}
			fapwstest.Write(t, path, fmt.Sprintf(text, fmt.Sprint("version", i)))
			body := strings.Repeat("b", i*30<<10)
			answer, err := (&http.Client{Transport: transport}).Post(s.URL+"/a?x=%41", "text/plain", strings.NewReader(body))
			fapwstest.Must(t, err)
			got, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			want := fmt.Sprintf("version%d x=%%41 %s", i, body)
			fapwstest.Truef(t, string(got) == want && err == nil, "%.80q, %v, not %.80q", got, err, want)
		}
	})
}
