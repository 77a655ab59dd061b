package conn

import (
	"bufio"
	"bytes"
	"fmt"
	"html"
	"net/http"
	"strings"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

const maxPlain = 8 << 10 // in bytes

func (h *Handshake) answerPlain(b []byte) {
	if !bytes.Contains(b, []byte("\r\n\r\n")) && len(b) < maxPlain {
		return
	}
	url, browser := "", false
	if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b))); err == nil && r.Host != "" &&
		r.RequestURI[0] == '/' {
		url, browser = "https://"+r.Host+r.RequestURI, strings.Contains(r.Header.Get("Accept"), "text/html")
	}
	h.count(plainHTTP)
	h.s.Report(logfile.Info, h.c.String(), "plain HTTP on an HTTPS port: answered 400")
	out := h.c.Use()
	*out = appendPlain(*out, url, browser)
	h.c.DropInput()
	h.stage = failed
	h.s.set.Flush()
	h.end()
}

func appendPlain(dst []byte, url string, browser bool) []byte {
	const text = "This is an HTTPS port."
	kind, body := "text/plain", text
	switch {
	case browser:
		kind = "text/html"
		link := html.EscapeString(url)
		body = string(http1.Page("400 Bad Request", "<p>"+text+` Use <a href="`+link+`">`+link+"</a>.</p>", ""))
	case url != "":
		body = text + " Use " + url
	}
	return fmt.Appendf(dst, "HTTP/1.1 400 Bad Request\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: "+
		"%d\r\nConnection: close\r\n\r\n%s\n", kind, len(body)+1, body)
}
