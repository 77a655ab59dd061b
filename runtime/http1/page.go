package http1

import (
	"cmp"
	"fmt"
	"html"
)

// StatusPage returns the server's HTML page for an error status. text explains the error. If it is empty, or only
// repeats the status, it is replaced by a sentence about the status. home is the path of the site, without a trailing
// slash.
func StatusPage(status int, text, home string) []byte {
	phrase := cmp.Or(StatusText(status), "Error")
	title := fmt.Sprintf("%d %s", status, phrase)
	if text == "" || text == phrase || text == title {
		text = sentence(status)
	}
	links := `<a href="` + html.EscapeString(home) + `/">Home page</a>`
	if status == 408 || status == 429 || status >= 500 {
		links = `<a href="">Try again</a> &middot; ` + links
	}
	return page(title, phrase, "<p>"+html.EscapeString(text)+"</p>\n<p>"+links+"</p>", "")
}

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
	case 429, 503:
		return "The server is busy. Please try again in a moment."
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

func Page(title, body, head string) []byte { return page(title, title, body, head) }

func page(title, heading, body, head string) []byte {
	return []byte(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` + title +
		"</title><style>:root{color-scheme:light dark}body{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:20vh auto;padding:0 1em;" +
		"overflow-wrap:anywhere}h1{font-size:1.6em}</style>" + head + "</head><body>\n<h1>" + heading + "</h1>\n" + body + "\n</body></html>\n")
}
