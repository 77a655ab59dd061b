package backend

import "fapws/runtime/exchange"

// Tunnel answers a Request with Tunnel by head, of status 101: the server passes bytes between the client and t.Upstream,
// which it owns from now on, and Respond may return. It is for before Start, and nothing may be done with the Response
// afterwards. If the client has left, t.Upstream is closed.
func (w *Response) Tunnel(head exchange.Head, t *exchange.Tunnel) {
	head.Tunnel = t
	w.Start(head)
}
