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
		r, text := ask(t, c, "GET", fmt.Sprintf("%s/trailers?%d", s.URL, size), nil)
		fapwstest.Truef(t, len(text) == size && r.Trailer.Get("X-Sum") == fmt.Sprint(size) &&
			strings.Join(r.Trailer["X-A"], " ") == a, "%d bytes: %d, %.200q", size, len(text), r.Trailer)
	}
	r, text := ask(t, c, "GET", s.URL+"/trailers?file", nil)
	fapwstest.Truef(t, strings.HasPrefix(text, "import asyncio\n") && r.Trailer.Get("X-Sum") == "file" &&
		r.ContentLength == int64(len(text)), "a file: length %d, %.200q, %.200q", r.ContentLength, text, r.Trailer)
	if r, text := ask(t, c, "HEAD", s.URL+"/trailers?5", nil); r.StatusCode != 200 || text != "" || len(r.Trailer) > 0 {
		t.Errorf("HEAD: %d %q %q", r.StatusCode, text, r.Trailer)
	}
	_, text = ask(t, c, "GET", s.URL+"/early", nil)
	fapwstest.Equal(t, text, "early")
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
	check := func(r *http.Response, text string, want map[string]string) {
		t.Helper()
		fapwstest.Truef(t, len(text) == 100_000 && len(r.Trailer) == len(want), "%d bytes, %q", len(text), r.Trailer)
		for name, value := range want {
			fapwstest.Equalf(t, r.Trailer.Get(name), value, "%s: %q", name, r.Trailer)
		}
	}
	c := client(t)
	r, text := ask(t, c, "GET", s.URL, nil)
	check(r, text, map[string]string{"X-Sum": "1", "X-A": "TE="})
	r, text = ask(t, c, "GET", s.URL, nil, "TE", "trailers")
	check(r, text, map[string]string{"X-Sum": "1", "X-A": "TE=trailers"})
	a := s.Get("/", 200, "TE: trailers")
	check(a.Response, a.Text, map[string]string{"X-Sum": "1", "X-A": "TE=trailers"})
	a = s.Get("/", 200)
	check(a.Response, a.Text, nil)
	s = fapwstest.ServeProxy(t, behind.URL, `cache = "60s"`+"\n", "--h2c")
	for range 2 {
		r, text = ask(t, c, "GET", s.URL, nil)
		check(r, text, nil)
	}
}
