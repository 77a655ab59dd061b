package backend

import (
	"bytes"

	"fapws/runtime/exchange"
)

// asking is the response to Response.Ask.
type asking struct {
	done   chan struct{}
	status int
	body   []byte
}

// end gives the response to the Responder.
func (a *asking) end(in exchange.Input) {
	a.status, a.body = int(in.Code), bytes.Clone(in.Data)
	close(a.done)
}

// Ask has the handler behind the pool (Receives of package sites) answer a request with this body, whose head is that of the client's, and
// returns the status and the first bytes of its response. It may be called any number of times before the response is started, also when
// the client has disconnected. body must not change until it returns.
func (w *Response) Ask(body []byte) (status int, answer []byte) {
	a := &asking{done: make(chan struct{})}
	w.pool.mu.Lock()
	w.ex.asking = a
	w.pool.mu.Unlock()
	_ = w.pool.put(w.ex, &part{body: body, ask: true}) // no client is needed for it
	<-a.done
	return a.status, a.body
}
