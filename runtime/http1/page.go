package http1

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // for page.css
	"encoding/base64"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// An ErrorPage is the server's HTML page for an error status.
type ErrorPage struct {
	Status  int
	Text    string // if Text is empty or only repeats the status, the page has a sentence about the status
	Home    string // path of the site, without a trailing slash
	Details string // lines for a developer, with a button that copies them, or ""; a ">" emphasizes its line
	Note    string // small print, such as the id of the request; may be empty
}

// policies contains the values of Policy: without and with Details.
var policies = sync.OnceValue(func() [2]string {
	sum := sha256.Sum256([]byte(Style))
	return [2]string{"default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'none'; base-uri 'none'",
		"default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; connect-src 'self'"}
})

// Policy returns the Content-Security-Policy of an ErrorPage. details is true if a developer sees the page, which can
// then have scripts: copyScript, and the one of --dev.
func Policy(details bool) string {
	if details {
		return policies()[1]
	}
	return policies()[0]
}

// HasPolicy reports whether fields contain a Policy: without details or, if details is true, any. A page with it, of the
// server or of package fapws, would lose its style with another policy.
func HasPolicy(fields []byte, details bool) bool {
	policy := FieldValue(fields, []byte("content-security-policy"))
	return policy == Policy(false) || details && policy == Policy(true)
}

// HTML returns the page.
func (p *ErrorPage) HTML() []byte {
	status, text := p.Status, p.Text
	phrase := cmp.Or(StatusText(status), "Error")
	title := fmt.Sprintf("%d %s", status, phrase)
	if text == "" || text == phrase || text == title {
		text = sentence(status)
	}
	text = Sentence(text)
	if status == 431 {
		text += " Deleting the cookies of this site may help."
	}
	links := `<a class="do" href="` + html.EscapeString(p.Home) + `/">Home page</a>`
	if status == 401 || status == 408 || status == 429 || status >= 500 {
		links = `<a class="do" href="">Try again</a> ` + links
	}
	head := ""
	if status == 503 {
		head = `<meta http-equiv="refresh" content="5">`
	}
	end := ""
	if p.Details != "" {
		head += "<style>.card{max-width:60rem;margin-top:8vh}</style>"
		details := regexp.MustCompile("(?m)^&gt;.*").ReplaceAllString(html.EscapeString(p.Details), "<b class=bad>$0</b>")
		end = "\n<pre class=plain>" + details + "</pre>\n<script>" + copyScript + "</script>"
	}
	if p.Note != "" {
		end += "\n<p class=\"dim small\">" + html.EscapeString(p.Note) + "</p>"
	}
	return Document(title, head, `<main class="card"><p class="dim">`+strconv.Itoa(status)+"</p><h1>"+phrase+
		"</h1>\n<p>"+html.EscapeString(text)+"</p>\n<p>"+links+"</p>"+end+"</main>")
}

// copyScript adds a button that copies the text of the element with the class plain. Unlike navigator.clipboard, it also
// works without HTTPS. contrib/fapws/_debugpage.py contains the same script.
const copyScript = `const p=document.querySelector(".plain"),b=document.createElement("button");b.textContent="Copy";` +
	`b.onclick=()=>{const d=p.closest("details");if(d)d.open=true;getSelection().selectAllChildren(p);` +
	`if(document.execCommand("copy"))b.textContent="Copied"};(p.closest("details")||p).before(b)`

func sentence(status int) string {
	switch status {
	case 401, 403:
		return "You may not see this page."
	case 404, 410:
		return "There is no page at this address."
	case 405:
		return "This page does not accept this kind of request."
	case 413:
		return "What you have sent is too large."
	case 429:
		return "The server is busy. Please try again in a moment."
	case 503:
		return "The server is busy. This page tries again by itself."
	case 502:
		return "The service behind this page has failed."
	case 408, 504:
		return "This page took too long."
	}
	if status >= 500 {
		return "The server could not answer this request."
	}
	return "The server does not accept this request."
}

// Sentence returns text, which must not be empty, with a capital first letter and a punctuation mark at its end.
func Sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "!") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	return text
}

// Style is the style sheet of all pages of the server. The colors follow the browser's light or dark mode. A main
// element with the class card shows a message in the middle of the window. contrib/fapws/_errors.py contains the same
// style sheet, and samples/console uses the same colors.
//
//go:embed page.css
var Style string

// Document returns an HTML document in the style of the server. All parameters are HTML: title is the title of the
// page, and head and body are added to the head and body elements.
func Document(title, head, body string) []byte {
	return []byte(
		`<!doctype html><html lang="en"><head><meta charset="utf-8">` +
			`<meta name="viewport" content="width=device-width,initial-scale=1"><title>` + title +
			"</title><style>" + Style + "</style>" + head + "</head><body>\n" + body + "\n</body></html>\n")
}

// Page returns an HTML page of the server with the heading title and a single message, body.
func Page(title, body, head string) []byte {
	return Document(title, head, `<main class="card"><h1>`+title+"</h1>\n"+body+"</main>")
}
