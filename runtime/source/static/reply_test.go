package static

import (
	"strings"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func TestFill(t *testing.T) {
	for _, test := range []struct {
		name string
		r    exchange.Reply
		kind string
		body string // or part of a page in HTML
	}{
		{"phrase", exchange.Reply{Status: 404}, textType, "Not Found\n"},
		{"text", exchange.Reply{Status: 413, Text: "too <big>"}, textType, "too <big>\n"},
		{"page", exchange.Reply{Status: 413, Text: "too <big> & more", HTML: true}, htmlType, "<p>too &lt;big&gt; &amp; more</p>"},
		{"body", exchange.Reply{Status: 200, Body: []byte("{}"), Type: "application/json", HTML: true}, "application/json", "{}"},
		{"nothing", exchange.Reply{Status: 204, Whole: true}, "", ""},
	} {
		var head exchange.Head
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
