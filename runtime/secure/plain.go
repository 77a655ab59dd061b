package secure

import (
	"bytes"
	"html"
	"strconv"

	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
)

// maxPlain bounds the head of a request of HTTP that is looked at.
const maxPlain = 8 << 10

// answerPlain answers b, which begins like a request of HTTP, when its head is whole or cannot become that.
func (h *Handshake) answerPlain(b []byte) {
	r := http1.Request{Resume: h.resume}
	limits := http1.Limits{}.WithDefaults()
	n, err := r.Parse(b, &limits)
	if err == http1.ErrNeedMore && len(b) < maxPlain {
		h.resume = r.Resume
		return
	}
	url, browser := "", false
	if err == nil {
		url, browser = secureURL(&r, b[n-r.HeadLen:n])
	}
	h.count(plainHTTP)
	h.s.Report(loglevel.Info, h.c.String(), "plain HTTP on an HTTPS port: answered 400")
	set := h.s.set
	h.c.Use()
	set.Buf = appendPlain(set.Buf, url, browser)
	h.c.DropInput()
	h.stage = failed
	set.Flush()
	h.end()
}

// secureURL returns the URL with https of what r, which is in head, asks for, or "", and reports whether its client is a browser.
func secureURL(r *http1.Request, head []byte) (url string, browser bool) {
	for _, f := range r.Fields {
		if bytes.EqualFold(f.Name.In(head), []byte("Accept")) {
			browser = bytes.Contains(f.Value.In(head), []byte("text/html"))
		}
	}
	host, target := string(r.Host.In(head)), string(r.Target.In(head))
	if host == "" || target == "" || target[0] != '/' {
		return "", browser
	}
	return "https://" + host + target, browser
}

// appendPlain appends a response that says where to find url with https.
func appendPlain(dst []byte, url string, browser bool) []byte {
	const text = "This is an HTTPS port."
	kind, body := "text/plain", text
	switch {
	case browser && url != "":
		kind = "text/html"
		body = "<!DOCTYPE html><title>400 Bad Request</title><p>" + text + " Use <a href=\"" + html.EscapeString(url) + "\">" + html.EscapeString(url) + "</a>."
	case url != "":
		body = text + " Use " + url
	}
	dst = append(dst, "HTTP/1.1 400 Bad Request\r\nContent-Type: "...)
	dst = append(append(dst, kind...), "; charset=utf-8\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)+1), 10)
	dst = append(dst, "\r\nConnection: close\r\n\r\n"...)
	return append(append(dst, body...), '\n')
}
