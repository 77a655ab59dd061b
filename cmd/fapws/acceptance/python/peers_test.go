package python_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Cases from the public tests of other servers: each comment names its origin.

// An application that fails at any stage: iter_exception of NGINX Unit,
// tests/wsgi/response.py of mod_wsgi, InternalServerErrorTests of waitress.
func TestPeersFailures(t *testing.T) {
	cases := []struct {
		stage  string
		status int
		body   string // the part of "onetwothree" that arrives
		closed bool   // close() has run
	}{
		{"before", 500, "", false},
		{"started", 500, "", false},
		{"exit", 500, "", false},
		{"iter", 500, "", true},
		{"next0", 500, "", true},
		{"written", 200, "one", false},
		{"next1", 200, "one", true},
		{"next2", 200, "onetwo", true},
		{"next3", 200, "onetwothree", true},
		{"close", 200, "onetwothree", true},
		{"none", 200, "onetwothree", true},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "peers.py", Complains: true}.Serve(t, m)
		for _, c := range cases {
			w := s.Dial()
			w.Get("/stages?" + c.stage)
			a := w.Answer()
			if a.StatusCode != c.status || c.status == 200 && a.Text != c.body {
				t.Errorf("%s: %d %q", c.stage, a.StatusCode, a.Text)
			}
			if strings.Contains(a.Text, "stage") {
				t.Errorf("%s: the client sees the exception: %q", c.stage, a.Text)
			}
			if whole := c.status != 200 || len(c.body) == 11; whole != (a.Err == nil) {
				t.Errorf("%s: %v after %q", c.stage, a.Err, a.Text)
			}
			if c.stage != "none" && c.stage != "exit" {
				s.Says("ValueError: stage " + c.stage)
			}
			if c.closed {
				s.Says("closed after " + c.stage)
			}
			if a.Err != nil {
				w.Gone() // the client cannot take the next bytes for the rest
			}
		}
		s.Get("/stages?none", 200).Is(t, "onetwothree")
	})
}

// Header fields: tests/wsgi/headers.py and start_response.py of mod_wsgi,
// headers.py, all-kinds-of-errors.py and test_exc_info_reference.py of bjoern.
func TestPeersFields(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "peers.py", Complains: true}.Serve(t, fapwstest.Threads)
	for range 3 { // the memory of earlier fields must not change them
		a := s.Get("/fields", 200).Is(t, "ok").Field(t, "Content-Type", "text/plain").
			Field(t, "Set-Cookie", "a=1, b=2; Path=/").Field(t, "X-Empty", "").Field(t, "X-Latin", "caf\xe9").
			Field(t, "X-Long", strings.Repeat("l", 60000)).Field(t, "X-Tab", "a\tb")
		for i := range 100 {
			a.Field(t, fmt.Sprintf("X-%d", i), fmt.Sprint(i))
		}
		if len(a.Header["X-Empty"]) != 1 || a.Status != "200 Very Well" {
			t.Errorf("%s %q", a.Status, a.Header["X-Empty"])
		}
		s.Get("/replaced", 503).Field(t, "X-First", "").Field(t, "X-Second", "2")
	}
	for _, bad := range []string{"none", "text", "pairs", "triple", "int", "bytes", "euro", "newline", "space", "colon", "nameless", "length", "minus"} {
		if a := s.Ask(fapwstest.Get("/bad_fields?" + bad)); a.StatusCode != 500 || strings.Contains(a.Text, "never sent") {
			t.Errorf("%s: %d %q", bad, a.StatusCode, a.Text)
		}
	}
	w := s.Dial() // all to one process, which counts
	for i := 1; i <= 40; i++ {
		w.Get("/same_list")
		w.Answer().Is(t, fmt.Sprint(i)).Field(t, "X-Count", fmt.Sprint(i))
	}
}

// Answers of all sizes and kinds: huge.py of bjoern, one_megabyte_of_a of
// cheroot, many-chunks of mod_wsgi, iterbody of Granian.
func TestPeersBodies(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "peers.py")
		w := s.Dial()
		for _, c := range []struct{ kind, body string }{
			{"mebibytes", strings.Repeat("m", 8<<20)},
			{"rows", strings.Repeat("r", 8<<20)},
			{"crumbs", strings.Repeat("c", 100_000)},
			{"empties", "at last"},
			{"views", "v0,v1,v2,v3,v4,"},
			{"filtered", "something"},
		} {
			w.Get("/bodies?" + c.kind)
			if a := w.Answer().Want(t, 200); a.Text != c.body {
				t.Errorf("%s: %d bytes, want %d: %.100q", c.kind, len(a.Text), len(c.body), a.Text)
			}
		}
	})
}

// test_view_calls_subview of Django's live server tests. Inline there is
// a client to answer while the handler runs.
func TestPeersAskingItself(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "peers.py")
	for range 5 {
		s.Ask("GET /asks HTTP/1.1\r\nHost: "+s.Address+"\r\n\r\n").Is(t, "it says v0,v1,v2,v3,v4,")
	}
}

// test_connection_keepalive of cheroot: many threads on a few connections, and
// none of their requests is lost.
func TestPeersManyClients(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "peers.py")
		client := &http.Client{Timeout: fapwstest.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 10, MaxConnsPerHost: 10}}
		defer client.CloseIdleConnections()
		var clients sync.WaitGroup
		for range 50 {
			clients.Go(func() {
				for range 20 {
					resp, err := client.Get(s.URL + "/bodies?views")
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || string(body) != "v0,v1,v2,v3,v4," {
						t.Errorf("%v: %q", err, body)
					}
				}
			})
		}
		clients.Wait()
	})
}
