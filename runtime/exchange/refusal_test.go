package exchange

import (
	"strings"
	"testing"

	"fapws/runtime/http1"
)

func TestFill(t *testing.T) {
	for _, test := range []struct {
		name string
		r    Reply
		kind string
		body string // or part of a page in HTML
	}{
		{"phrase", Reply{Status: 404}, TextType, "Not Found\n"},
		{"text", Reply{Status: 413, Text: "too <big>"}, TextType, "too <big>\n"},
		{"page", Reply{Status: 413, Text: "too <big> & more", HTML: true}, htmlType, "<p>too &lt;big&gt; &amp; more</p>"},
		{"body", Reply{Status: 200, Body: []byte("{}"), Type: "application/json", HTML: true}, "application/json", "{}"},
		{"nothing", Reply{Status: 204, Whole: true}, "", ""},
	} {
		var head Head
		body := string(fillHead(&head, &test.r))
		if body != test.body && (test.kind != htmlType || !strings.Contains(body, test.body)) {
			t.Errorf("%s: %q, want %q", test.name, body, test.body)
		}
		if head.Status != test.r.Status || head.Type != test.kind || head.Length != int64(len(body)) {
			t.Errorf("%s: %+v", test.name, head)
		}
	}
}

func TestWantsHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"Accept: text/html,*/*;q=0.8": true, "accept: TEXT/HTML": true, "Accept: */*": false, "Accepts: text/html": false, "X: text/html": false,
	} {
		head := []byte("GET / HTTP/1.0\r\n" + accept + "\r\n\r\n")
		var r http1.Request
		if _, err := r.Parse(head, &http1.DefaultLimits); err != nil {
			t.Fatal(err)
		}
		if got := WantsHTML(&r, head); got != want {
			t.Errorf("%s: %v", accept, got)
		}
	}
}
