package http2_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestApplicationsEndResponsesWithTrailers(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "asgi.py:app")
	c := client(t)
	a := strings.Repeat("b", 10_000) + " c"
	for _, size := range []int{0, 5, 10_000, 1 << 20} {
		r := ask(t, c, "GET", fmt.Sprintf("%s/trailers?%d", s.URL, size), nil)
		fapwstest.Truef(t, len(r.Text) == size && r.Trailer.Get("X-Sum") == fmt.Sprint(size) &&
			strings.Join(r.Trailer["X-A"], " ") == a, "%d bytes: %d, %.200q", size, len(r.Text), r.Trailer)
	}
	r := ask(t, c, "GET", s.URL+"/trailers?file", nil)
	fapwstest.Truef(t, strings.HasPrefix(r.Text, "import asyncio\n") && r.Trailer.Get("X-Sum") == "file" &&
		r.ContentLength == int64(len(r.Text)), "a file: length %d, %.200q, %.200q", r.ContentLength, r.Text, r.Trailer)
	head := ask(t, c, "HEAD", s.URL+"/trailers?5", nil).Is(t, "")
	fapwstest.Equalf(t, len(head.Trailer), 0, "HEAD: %q", head.Trailer)
	ask(t, c, "GET", s.URL+"/early", nil).Is(t, "early")
}

func TestProxyForwardsTrailersAndAnnouncesThem(t *testing.T) {
	t.Parallel()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, Location")
		fmt.Fprint(w, strings.Repeat("x", 100_000))
		w.Header().Set("X-Sum", "1")
		w.Header().Set("Location", "/")
		w.Header().Set(http.TrailerPrefix+"X-A", "TE="+r.Header.Get("TE"))
	}))
	defer behind.Close()
	s := fapwstest.ServeProxy(t, behind.URL, "", "--h2c")
	check := func(r *fapwstest.Answer, want map[string]string) {
		t.Helper()
		fapwstest.Truef(t, len(r.Text) == 100_000 && len(r.Trailer) == len(want), "%d bytes, %q", len(r.Text), r.Trailer)
		for name, value := range want {
			fapwstest.Equalf(t, r.Trailer.Get(name), value, "%s: %q", name, r.Trailer)
		}
	}
	c := client(t)
	check(ask(t, c, "GET", s.URL, nil), map[string]string{"X-Sum": "1", "X-A": "TE="})
	check(ask(t, c, "GET", s.URL, nil, "TE", "trailers"), map[string]string{"X-Sum": "1", "X-A": "TE=trailers"})
	check(s.Get("/", 200, "TE: trailers"), map[string]string{"X-Sum": "1", "X-A": "TE=trailers"})
	check(s.Get("/", 200), nil)
	s = fapwstest.ServeProxy(t, behind.URL, `cache = "60s"`+"\n", "--h2c")
	for range 2 {
		check(ask(t, c, "GET", s.URL, nil), nil)
	}
}
