package acme

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestFinalizer: the response to the request that finalizes an order names the order, unless the authority does so itself.
func TestFinalizer(t *testing.T) {
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number := r.URL.Path[len(r.URL.Path)-1:]
		switch {
		case strings.HasPrefix(r.URL.Path, "/new/"):
			w.Header().Set("Location", "/order/"+number)
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"status": "pending", "finalize": "`+s.URL+"/finalize/"+number+`"}`)
		case r.URL.Path == "/account/1":
			w.Header().Set("Location", "/account/1")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"status": "valid"}`)
		case r.URL.Path == "/finalize/2":
			w.Header().Set("Location", "/order/2?named")
		}
	}))
	defer s.Close()
	c := http.Client{Transport: &finalizer{RoundTripper: http.DefaultTransport}}
	for _, step := range []struct{ path, location, body string }{
		{"/finalize/1", "", ""},
		{"/account/1", "/account/1", `{"status": "valid"}`},
		{"/new/1", "/order/1", `{"status": "pending", "finalize": "` + s.URL + `/finalize/1"}`},
		{"/new/2", "/order/2", `{"status": "pending", "finalize": "` + s.URL + `/finalize/2"}`},
		{"/finalize/1", "/order/1", ""},
		{"/finalize/2", "/order/2?named", ""},
		{"/order/1", "", ""},
	} {
		resp, err := c.Get(s.URL + step.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := resp.Header.Get("Location"); err != nil || got != step.location || string(body) != step.body {
			t.Errorf("%s: %q, %q, %v", step.path, got, body, err)
		}
	}
}
