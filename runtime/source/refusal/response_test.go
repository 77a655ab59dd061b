package refusal

import (
	"strings"
	"testing"

	"fapws/runtime/http1"
)

func TestFill(t *testing.T) {
	for _, test := range []struct {
		name string
		r    Response
		kind string
		body string // or part of a page in HTML
	}{
		{"phrase", Response{Status: 404}, textType, "Not Found\n"},
		{"text", Response{Status: 413, Text: "too <big>"}, textType, "too <big>\n"},
		{"page", Response{Status: 413, Text: "too <big> & more", HTML: true}, htmlType, "<p>too &lt;big&gt; &amp; more</p>"},
		{"body", Response{Status: 200, Body: []byte("{}"), Type: "application/json", HTML: true}, "application/json", "{}"},
		{"nothing", Response{Status: 204, Whole: true}, "", ""},
	} {
		var resp http1.Response
		body := string(test.r.Fill(&resp))
		if body != test.body && (test.kind != htmlType || !strings.Contains(body, test.body)) {
			t.Errorf("%s: %q, want %q", test.name, body, test.body)
		}
		if resp.Status != test.r.Status || resp.Type != test.kind || resp.Length != int64(len(body)) {
			t.Errorf("%s: %+v", test.name, resp)
		}
	}
}

func TestWantsHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"Accept: text/html,*/*;q=0.8": true, "accept: TEXT/HTML": true, "Accept: */*": false, "Accepts: text/html": false, "X: text/html": false,
	} {
		head := []byte("GET / HTTP/1.0\r\n" + accept + "\r\n\r\n")
		var r http1.Request
		if _, err := r.Parse(head, &http1.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := WantsHTML(&r, head); got != want {
			t.Errorf("%s: %v", accept, got)
		}
	}
}
