package http1

import (
	"cmp"
	"fmt"
	"html"
)

// StatusPage returns the server's page in HTML for the status of an error. text explains the error; it is replaced by a sentence about
// the status if it is empty, or only repeats the status. home is the path of the site, without "/" at its end.
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

// sentence tells a person what a status means.
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

// Page returns a page of the server in HTML, with its title as a heading. head is for the element of that name.
func Page(title, body, head string) []byte { return page(title, title, body, head) }

func page(title, heading, body, head string) []byte {
	return []byte(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` + title +
		"</title><style>:root{color-scheme:light dark}body{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:20vh auto;padding:0 1em;" +
		"overflow-wrap:anywhere}h1{font-size:1.6em}</style>" + head + "</head><body>\n<h1>" + heading + "</h1>\n" + body + "\n</body></html>\n")
}
