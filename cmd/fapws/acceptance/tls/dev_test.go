package tls_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
)

const devScript = "import time; time.sleep(1)\n" +
	"def handler(environ, start_response):\n    return '%d'\nPATHS = [('/', handler)]\n"

type devAnswer struct {
	began, ended time.Time
	version      string // an error in place of the version if no version of the code gives this answer
}

// asking sends a request each 50 ms until stop is called, which returns all answers in the order of the requests.
// Requests that wait do not delay the next ones.
func asking(client *http.Client, url string) (stop func() []devAnswer) {
	var all []*devAnswer
	var requests sync.WaitGroup
	ended := make(chan struct{})
	requests.Go(func() {
		for tick := time.Tick(50 * time.Millisecond); ; {
			a := &devAnswer{began: time.Now()}
			all = append(all, a)
			requests.Go(func() {
				answer, err := client.Get(url)
				var body []byte
				if err == nil {
					body, err = io.ReadAll(answer.Body)
					answer.Body.Close()
				}
				a.ended = time.Now()
				switch text := string(body); {
				case err != nil:
					a.version = err.Error()
				case answer.StatusCode == 500 && strings.Contains(text, "failed to load"): // also by a worker that reads half of a file
					a.version = "broken"
				default:
					a.version = text
				}
			})
			select {
			case <-ended:
				return
			case <-tick:
			}
		}
	})
	return func() (answers []devAnswer) {
		close(ended)
		requests.Wait()
		for _, a := range all {
			answers = append(answers, *a)
		}
		return answers
	}
}

// The application loads for a second. It is saved, saved again while it loads, broken and mended. When the server has
// noticed a change, requests wait for the new code. No client sees old code after new code, and no request fails.
func TestDevLetsNoOldCodeAnswerAfterAChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode        fapwstest.Mode
		secure, two bool
	}{
		{fapwstest.Threads, false, false}, {fapwstest.Workers, false, false}, {fapwstest.Threads, true, false},
		{fapwstest.Workers, true, true}, {fapwstest.Inline, false, true},
	} {
		t.Run(fmt.Sprintf("%s TLS %v HTTP/2 %v", c.mode.Name, c.secure, c.two), func(t *testing.T) {
			t.Parallel()
			ca := certtest.NewAuthority(t)
			path := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), fmt.Sprintf(devScript, 1))
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
			transport := &http.Transport{Protocols: &protocols, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
			t.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport}
			stop := asking(client, s.URL+"/")

			saves, loads := 0, 0
			times := func(n *int, line string) {
				*n++
				s.Says(fmt.Sprintf(`(?s)(%s.*){%d}`, line, *n))
			}
			save := func(text string) { // in one step, because a file that is half written is broken code
				checktest.Must(t, os.Rename(fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), text), path))
				times(&saves, "reloading: app.py changed")
			}
			saved := func(version int) { save(fmt.Sprintf(devScript, version)) }
			loaded := func() { times(&loads, "info reloaded") }
			saved(2)
			loaded()
			saved(3)
			time.Sleep(300 * time.Millisecond) // version 3 loads
			saved(4)
			loaded()
			save("def <b>\n")
			s.Says("waiting for a change")
			saved(5)
			loaded()
			order, waited := []string{"1", "2", "3", "4", "broken", "5"}, map[string]bool{}
			answers := stop()
			for _, a := range answers {
				at := slices.Index(order, a.version)
				fapwstest.Needf(t, at >= 0, "got %q", a.version)
				waited[a.version] = waited[a.version] || a.ended.Sub(a.began) > time.Second/2
				for _, b := range answers {
					fapwstest.Needf(t, !b.began.After(a.ended) || slices.Index(order, b.version) >= at,
						"%s after %s", b.version, a.version)
				}
			}
			for _, version := range []string{"2", "4", "5"} {
				fapwstest.Truef(t, waited[version], "no request has waited for version %s: %v", version, waited)
			}
		})
	}
}
