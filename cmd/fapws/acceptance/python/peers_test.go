package python_test

import (
	"fmt"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Cases from the public tests of other servers: each comment names its origin.

// Header fields: tests/wsgi/headers.py of mod_wsgi, headers.py of bjoern.
func TestPeersFields(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "peers.py")
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
