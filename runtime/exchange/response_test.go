package exchange

import (
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestReplyIsTextOrAPage(t *testing.T) {
	for _, test := range []struct {
		name string
		r    Reply
		html bool
		kind string
		body string
	}{
		{"phrase", Reply{Status: 404}, false, TextType, "Not Found\n"},
		{"text", Reply{Status: 413, Text: "too <big>"}, false, TextType, "too <big>\n"},
		{"page", Reply{Status: 413, Text: "too <big> & more"}, true, htmlType, "<p>Too &lt;big&gt; &amp; more.</p>"},
		{"prefix", Reply{Status: 404}, true, htmlType, ` href="/&lt;app/">`},
		{"body", Reply{Status: 200, Body: []byte("{}"), Type: "application/json"}, true, "application/json", "{}"},
		{"nothing", Reply{Status: 204, Whole: true}, false, "", ""},
	} {
		var head Head
		body := string(fillHead(&head, &test.r, test.html, "/<app"))
		checktest.Truef(t, body == test.body || test.kind == htmlType && strings.Contains(body, test.body),
			"%s: %q, want %q", test.name, body, test.body)
		checktest.Truef(t, head.Status == test.r.Status && head.Type == test.kind && head.Length == int64(len(body)),
			"%s: %+v", test.name, head)
	}
}

func TestPageOfALoadingApplicationShowsForHowLong(t *testing.T) {
	for since, want := range map[time.Duration]string{time.Second / 2: " 1 second.", 5 * time.Second / 2: " 2 seconds."} {
		r := Starting(since)
		checktest.Truef(t, strings.Contains(string(r.Body), want), "%v: %s", since, r.Body)
	}
}
