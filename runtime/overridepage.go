package runtime

import (
	"fapws/runtime/exchange"
)

// overridePage is a page that stands before all others.
type overridePage struct {
	exchange.Memory
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
	var override exchange.Source
	if page != nil {
		override = &overridePage{status: status, page: page}
	}
	s.loop.post(func() { s.loop.override = override })
}

var noStore = []byte("Cache-Control: no-store\r\n")

// Start implements exchange.Source.
func (p *overridePage) Start(x *exchange.Exchange) {
	x.Sink.Reply(exchange.Reply{Status: p.status, Body: p.page, Type: "text/html; charset=utf-8", Fields: noStore, Whole: true, Override: true})
}
