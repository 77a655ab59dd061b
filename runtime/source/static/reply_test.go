package static

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
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

// An error gets the page of its site, from memory or from the disk, or the server's own.
func TestAnswer(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{"small.html": "small page", "large.html": strings.Repeat("x", 200<<10)} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := New(Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := NewPages(files, map[int]string{403: "/small.html", 404: "/large.html", 500: "/none.html", 503: "https://example.org/busy"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		pages  *Pages
		r      exchange.Reply
		status int
		body   string // "file": a part of one
		fields string // among those of the response
	}{
		{"no pages", nil, exchange.Reply{Status: 404, Fields: []byte("A: 1\r\n")}, 404, "Not Found\n", "A: 1\r\n"},
		{"small page", pages, exchange.Reply{Status: 403, Fields: []byte("A: 1\r\n")}, 403, "small page", "A: 1\r\n"},
		{"large page", pages, exchange.Reply{Status: 404, Fields: []byte("A: 1\r\n")}, 404, "file", "A: 1\r\n"},
		{"missing page", pages, exchange.Reply{Status: 500, Text: "bad"}, 500, "bad\n", ""},
		{"redirect", pages, exchange.Reply{Status: 503}, 302, "Found\n", "Location: https://example.org/busy\r\n"},
		{"whole", pages, exchange.Reply{Status: 403, Body: []byte("mine"), Whole: true}, 403, "mine", ""},
		{"no error", pages, exchange.Reply{Status: 200, Body: []byte("good")}, 200, "good", ""},
	} {
		for _, round := range []string{"from the disk", "from memory"} {
			var c exchangetest.Client
			test.pages.Answer(c.Exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""), test.r)
			if len(c.Parts) != 1 || !c.Parts[0].First || !c.Parts[0].Last {
				t.Errorf("%s, %s: %d parts", test.name, round, len(c.Parts))
				continue
			}
			p := &c.Parts[0]
			body := string(p.Body)
			if p.File >= 0 {
				body = "file"
			}
			if p.Head.Status != test.status || body != test.body || !strings.Contains(string(p.Head.Fields), test.fields) {
				t.Errorf("%s, %s: %d %.20q %q", test.name, round, p.Head.Status, body, p.Head.Fields)
			}
		}
	}
	var c exchangetest.Client
	c.Left = true
	pages.Answer(c.Exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""), exchange.Reply{Status: 500})
	if len(c.Parts) > 0 {
		t.Error("a client that has left was sent something")
	}
}
