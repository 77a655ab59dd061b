package plan

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Refresh makes pages of applications load again in the browser when the code has changed. A filter appends a script to
// each page, with the version of the code that made the page. The script keeps an event stream open, which sends the
// version of the code that serves. The stream ends when new code serves or when code fails to load, and the script
// connects again. Refresh is safe for concurrent use.
type Refresh struct {
	mu      sync.Mutex
	version string
	changed chan struct{} // closed when version changes
}

// NewRefresh returns a Refresh for the code that this process has loaded. All workers with the same code have the same
// version, which consists of letters, digits and dashes.
func NewRefresh(version string) *Refresh {
	return &Refresh{version: version, changed: make(chan struct{})}
}

// Failed makes pages load again, because changed code has failed to load and browsers now get a page about the failure.
// A nil Refresh does nothing.
func (r *Refresh) Failed() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version += "-failed"
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Refresh) current() (version string, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.version, r.changed
}

const (
	refreshPath   = "/_fapws/refresh"
	refreshScript = "/script.js"
)

// refreshCode loads a page again at most once for each version, because a service worker may respond with the old page
// again. First, the script fetches the style sheets and scripts of the page again, because location.reload would use
// the copies in the browser's cache. A page about an error has none of them, so the script fetches those of the page
// before the error. A hidden page has no stream, because a browser opens only six connections to a host over HTTP/1.
//
//go:embed refresh.js
var refreshCode string

// Respond sends the script, or the event stream. The server ends event streams when it stops or is replaced.
func (r *Refresh) Respond(w *backend.ResponseWriter, q *backend.Request) {
	const fields = "Cache-Control: no-store\r\nContent-Type: "
	if strings.HasSuffix(q.Path, refreshScript) {
		w.Start(exchange.Head{Status: 200, Length: int64(len(refreshCode)),
			Fields: []byte(fields + "text/javascript; charset=utf-8\r\n")})
		_, _ = w.Write([]byte(refreshCode)) // an error means that the client has disconnected
		return
	}
	version, changed := r.current()
	w.Start(exchange.Head{Status: 200, Length: -1, Fields: []byte(fields + "text/event-stream\r\n")})
	fmt.Fprintf(w, "retry: 300\ndata: %s\n\n", version)
	if w.Flush() != nil {
		return
	}
	select {
	case <-q.Context.Done():
	case <-changed:
	}
}

// filter implements exchange.Filter: it appends the script to documents that a browser shows, but not to fragments that
// a script of the page requests.
func (r *Refresh) filter(x *exchange.Exchange, next exchange.Sink) exchange.Sink {
	q := x.Req
	destination, _ := http1.First(q.Head, q.Parsed.Fields, "sec-fetch-dest")
	if string(destination) != "document" || !q.Parsed.Get || q.Depth() > 0 {
		return next
	}
	version, _ := r.current()
	source := url.URL{Path: x.Prefix + refreshPath + refreshScript, RawQuery: version}
	return &refreshed{next: next, script: `<script src="` + source.String() + "\" async></script>\n"}
}

// refreshed is the Sink of a response that may be a page.
type refreshed struct {
	next   exchange.Sink
	script string
	page   bool // the response is a page; set by the first part
}

func (f *refreshed) Reply(r exchange.Reply) { f.next.Reply(r) }

func (f *refreshed) Send(p *exchange.Part) {
	if p.Op != exchange.OpBody || p.Interim {
		f.next.Send(p)
		return
	}
	own := *p
	if p.First && isPage(p) {
		f.page = true
		own.Head.Fields = pageFields(p.Head.Fields)
		if p.End == exchange.Complete && p.Head.Length >= 0 {
			own.Head.Length += int64(len(f.script))
		} else {
			own.Head.Length = -1
		}
	}
	if f.page && p.End == exchange.Complete && p.File == nil {
		own.Body = slices.Concat(p.Body, []byte(f.script))
	}
	f.next.Send(&own)
}

// isPage reports whether the response with the first part p is an HTML document that a browser shows, with the status
// 200 or an error status.
func isPage(p *exchange.Part) bool {
	h := &p.Head
	kind := []byte(h.Type)
	for line := range bytes.Lines(h.Fields) {
		switch name := http1.FieldName(line); {
		case http1.EqualFold(name, "content-type"):
			kind = bytes.TrimSpace(line[len(name)+1:])
		case http1.EqualFold(name, "content-encoding"), http1.EqualFold(name, "content-disposition"),
			http1.EqualFold(name, "content-digest"), http1.EqualFold(name, "repr-digest"),
			http1.EqualFold(name, "digest"), http1.EqualFold(name, "content-md5"):
			return false
		}
	}
	return (h.Status == 200 || h.Status >= 400) && p.File == nil && p.Takeover == nil && h.Then == nil &&
		http1.HasPrefixFold(kind, "text/html")
}

// pageFields returns a copy of fields without validators: the browser must not keep a page with the version of old
// code. The policy of an error page of package fapws becomes the one that permits the script.
func pageFields(fields []byte) (kept []byte) {
	own := http1.HasPolicy(fields, false)
	for line := range bytes.Lines(fields) {
		name := http1.FieldName(line)
		if !http1.EqualFold(name, "etag") && !http1.EqualFold(name, "last-modified") &&
			!http1.EqualFold(name, "cache-control") && (!own || !http1.EqualFold(name, "content-security-policy")) {
			kept = append(kept, line...)
		}
	}
	if own {
		kept = fmt.Appendf(kept, "Content-Security-Policy: %s\r\n", http1.Policy(true))
	}
	return append(kept, "Cache-Control: no-store\r\n"...)
}
