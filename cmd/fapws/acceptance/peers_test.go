package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// What the public tests of other servers look at, beyond what the tests here
// did before: each comment names where it comes from.

// An application that fails at any stage: iter_exception of NGINX Unit,
// tests/wsgi/response.py of mod_wsgi, InternalServerErrorTests of waitress.
func TestPeersFailures(t *testing.T) {
	cases := []struct {
		stage  string
		status int
		body   string // what comes of "onetwothree"
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
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "peers.py", complains: true}.serve(t, m)
		for _, c := range cases {
			w := s.dial()
			w.get("/stages?" + c.stage)
			a := w.answer()
			if a.StatusCode != c.status || c.status == 200 && a.body != c.body {
				t.Errorf("%s: %d %q", c.stage, a.StatusCode, a.body)
			}
			if strings.Contains(a.body, "stage") {
				t.Errorf("%s: the client sees the exception: %q", c.stage, a.body)
			}
			if whole := c.status != 200 || len(c.body) == 11; whole != (a.err == nil) {
				t.Errorf("%s: %v after %q", c.stage, a.err, a.body)
			}
			if c.stage != "none" && c.stage != "exit" {
				s.says("ValueError: stage " + c.stage)
			}
			if c.closed {
				s.says("closed after " + c.stage)
			}
			if a.err != nil {
				w.gone() // the client cannot take what follows for the rest
			}
		}
		s.get("/stages?none", 200).is(t, "onetwothree")
	})
}

// Header fields: tests/wsgi/headers.py and start_response.py of mod_wsgi,
// headers.py, all-kinds-of-errors.py and test_exc_info_reference.py of bjoern.
func TestPeersFields(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "peers.py", complains: true}.serve(t, m)
		for range 3 { // what is remembered of fields must not change them
			a := s.get("/fields", 200).is(t, "ok").field(t, "Content-Type", "text/plain").
				field(t, "Set-Cookie", "a=1, b=2; Path=/").field(t, "X-Empty", "").field(t, "X-Latin", "caf\xe9").
				field(t, "X-Long", strings.Repeat("l", 60000)).field(t, "X-Tab", "a\tb")
			for i := range 100 {
				a.field(t, fmt.Sprintf("X-%d", i), fmt.Sprint(i))
			}
			if len(a.Header["X-Empty"]) != 1 || a.Status != "200 Very Well" {
				t.Errorf("%s %q", a.Status, a.Header["X-Empty"])
			}
			s.get("/replaced", 503).field(t, "X-First", "").field(t, "X-Second", "2")
		}
		for _, bad := range []string{"none", "text", "pairs", "triple", "int", "bytes", "euro", "newline", "space", "colon", "nameless", "length", "minus"} {
			if a := s.ask(get("/bad_fields?" + bad)); a.StatusCode != 500 || strings.Contains(a.body, "never sent") {
				t.Errorf("%s: %d %q", bad, a.StatusCode, a.body)
			}
		}
		w := s.dial() // all to one process, which counts
		for i := 1; i <= 40; i++ {
			w.get("/same_list")
			w.answer().is(t, fmt.Sprint(i)).field(t, "X-Count", fmt.Sprint(i))
		}
	})
}

// An environ is the request's own: DispatcherMiddleware of Werkzeug, and
// test_keep_alive_connection_clears_previous_request_data of Django. The
// server remembers what requests have in common.
func TestPeersEnviron(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "peers.py")
		w := s.dial()
		for range 4 {
			for _, path := range []string{"/spoils", "/spoils/sub"} {
				w.send(get(path+"?q=1", "X-Twice: a", "x-twice: b,c")) // test_multiple_headers_concatenated of Werkzeug
				got := w.answer().want(t, 200).object(t)
				want := map[string]any{
					"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/spoils", "PATH_INFO": strings.TrimPrefix(path, "/spoils"), "QUERY_STRING": "q=1",
					"HTTP_HOST": "test", "HTTP_X_TWICE": "a,b,c", "wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1", "added": nil,
				}
				for key, value := range want {
					if got[key] != value {
						t.Errorf("%s: %s is %v, want %v", path, key, got[key], value)
					}
				}
			}
		}
	})
}

// Answers of all sizes and kinds: huge.py of bjoern, one_megabyte_of_a of
// cheroot, many-chunks of mod_wsgi, iterbody of Granian.
func TestPeersBodies(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "peers.py")
		w := s.dial()
		for _, c := range []struct{ kind, body string }{
			{"mebibytes", strings.Repeat("m", 8<<20)},
			{"rows", strings.Repeat("r", 8<<20)},
			{"crumbs", strings.Repeat("c", 100_000)},
			{"empties", "at last"},
			{"views", "v0,v1,v2,v3,v4,"},
			{"filtered", "something"},
		} {
			w.get("/bodies?" + c.kind)
			if a := w.answer().want(t, 200); a.body != c.body {
				t.Errorf("%s: %d bytes, want %d: %.100q", c.kind, len(a.body), len(c.body), a.body)
			}
		}
	})
}

// test_view_calls_subview of Django's live server tests. Inline there is
// nobody to answer while the handler runs.
func TestPeersAskingItself(t *testing.T) {
	t.Parallel()
	s := serve(t, modes[0], "peers.py")
	for range 5 {
		s.ask("GET /asks HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n").is(t, "it says v0,v1,v2,v3,v4,")
	}
}

// test_connection_keepalive of cheroot: many threads on a few connections, and
// none of their requests is lost.
func TestPeersManyClients(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "peers.py")
		client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 10, MaxConnsPerHost: 10}}
		defer client.CloseIdleConnections()
		var clients sync.WaitGroup
		for range 50 {
			clients.Go(func() {
				for range 20 {
					resp, err := client.Get(s.url + "/bodies?views")
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

// test_wrong_protocol and test_double_slash_path of Werkzeug.
func TestPeersOddRequests(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "peers.py")
		w := s.dial()
		w.send("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03") // how TLS begins: no line end will come
		w.send(strings.Repeat("\x00", 200), "\r\n\r\n")
		if head := w.head("GET"); head.StatusCode != 400 {
			t.Errorf("TLS: status %d", head.StatusCode)
		}
		s.get("//evil.example/spoils", 404)
		got := s.get("/spoils//evil.example/x", 200).object(t)
		if got["PATH_INFO"] != "//evil.example/x" || got["HTTP_HOST"] != "test" {
			t.Errorf("PATH_INFO %v, HTTP_HOST %v", got["PATH_INFO"], got["HTTP_HOST"])
		}
	})
}
