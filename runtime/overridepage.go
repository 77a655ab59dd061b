package runtime

import (
	"bytes"

	"fapws/runtime/http1"
)

// overridePage is a page that stands before all others.
type overridePage struct {
	refusalSource
	status int
	page   []byte
}

// SetOverridePage answers every request of a browser, that is one whose Accept names
// text/html, with page, an HTML document in UTF-8, and status; nothing is to
// keep it. Other requests go where they always do. A page of nil ends this.
//
// Any goroutine but the loop's may call it; requests that come after it has
// been carried out get the page, which is not waited for. The page must not
// be changed afterwards.
func (s *Server) SetOverridePage(status int, page []byte) {
	var n *overridePage
	if page != nil {
		n = &overridePage{status: status, page: page}
	}
	s.loop.post(func() { s.loop.override = n })
}

var noStore = []byte("Cache-Control: no-store\r\n")

// start implements source.
func (n *overridePage) start(l *loop, x *Exchange, rest []byte) (used int) {
	return l.refuse(x, rest, localResponse{status: n.status, body: n.page, kind: htmlType, fields: noStore, whole: true, override: true})
}

// wantsHTML says whether the client of a request names text/html among what it
// accepts (RFC 9110 §12.5.1). Tools and scripts of pages do not.
func wantsHTML(r *http1.Request, head []byte) bool {
	for _, f := range r.Fields {
		if f.Name.Len == 6 && is(f, head, "accept") && bytes.Contains(bytes.ToLower(f.Value.In(head)), []byte("text/html")) {
			return true
		}
	}
	return false
}
