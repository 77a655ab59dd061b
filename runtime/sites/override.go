package sites

import (
	"fapws/runtime/exchange"
)

// overridePage is a page that stands before all others.
type overridePage struct {
	exchange.Memory
	status int
	local  bool // only for http1.LocalHost
	page   []byte
}

// Override answers every request of a browser, that is one whose Accept names text/html, with page, an HTML document in UTF-8, and
// status; nothing is to keep it. Other requests go where they always do. A page of nil ends this.
// With local, only requests for http1.LocalHost get it.
func (s *Sites) Override(status int, page []byte, local bool) {
	s.override = nil
	if page != nil {
		s.override = &overridePage{status: status, page: page, local: local}
	}
}

var noStore = []byte("Cache-Control: no-store\r\n")

// Start implements exchange.Source.
func (p *overridePage) Start(x *exchange.Exchange) {
	x.Sink.Reply(exchange.Reply{Status: p.status, Body: p.page, Type: "text/html; charset=utf-8", Fields: noStore, Whole: true, Override: true})
}
