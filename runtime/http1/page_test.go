package http1

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestBrowserIsRecognizedByItsAcceptField(t *testing.T) {
	for fields, want := range map[string]bool{
		"Accept: text/html,*/*;q=0.8": true, "accept: TEXT/HTML": true,
		"Accept: a/b\r\nAccept: c/d, text/html;level=1": true,
		"Accept: */*": false, "Accepts: text/html": false, "X: text/html": false, "Accept: a/text/html": false,
		"Accept: text/html;q=0, */*": false, "Accept: text/html; level=1; Q=0.000": false, "Accept: text/html;q=0.001": true,
	} {
		var r Request
		checktest.Try(r.Parse([]byte("GET / HTTP/1.0\r\n"+fields+"\r\n\r\n"), &DefaultLimits)).Must(t)
		checktest.Equalf(t, r.HTML, want, "%s", fields)
	}
	for head, want := range map[string]bool{
		"GET /%zz HTTP/1.1\r\nAccept: a/b, text/html;q=0.9\r\n\r\n": true, "GET /aaaaaaaaaaaaaaaaaaaaaa": true,
		"GET /%zz HTTP/1.1\r\nAccept: text/html;q=0\r\nX: y\r\n\r\n": false, "GET /aaaaaaaaaaaaaaaa HTTP/1.1\r\n": false,
		"GET /": false,
	} {
		checktest.Equalf(t, FromBrowser([]byte(head), 16), want, "%q", head)
	}
}

// If the text only repeats the status, the page has a sentence about the status instead.
func TestErrorPageHasASentenceAndALinkHome(t *testing.T) {
	for status := 400; status < 600; status++ {
		text := string(StatusPage(status, StatusText(status), "/a\"b"))
		_, rest, _ := strings.Cut(text, "<p>")
		sentence, _, _ := strings.Cut(rest, "</p>")
		checktest.Truef(t, strings.HasSuffix(sentence, ".") && strings.Contains(text, ` href="/a&#34;b/">`) &&
			!strings.Contains(text, "<h1></h1>"), "%d: %s", status, text)
	}
	checktest.Has(t, string(StatusPage(404, "no <such> thing", "")), "<p>No &lt;such&gt; thing.</p>")
}
