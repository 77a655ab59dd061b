package backend

import (
	"os"
	"sync/atomic"

	"fapws/runtime/exchange"
)

// Tunnel is a connection that the loop has given away: whoever has it reads and
// writes the bytes of another protocol. It ends when Respond returns, which closes
// Client. Request.Context ends when the client has broken the connection, and when the
// server stops; what waits for Client then has to be woken by a deadline.
type Tunnel struct {
	Client *os.File // the connection, not blocking, with deadlines
	Head   []byte   // what the client has to be sent first
	Early  []byte   // what it has sent behind its request

	// In counts the bytes that have come from the client and Out those that it has taken,
	// besides Head, for the access log. Any goroutine.
	In, Out atomic.Int64
}

// Tunnel answers a Request with Tunnel by head, of status 101, and returns the
// connection. It is for before Start, and all that may be done with the Response from
// then on is to call Fail, which makes the connection end with RST. The error is ErrGone
// if the client has left, or has no connection that could be given away; the loop has
// answered it then.
func (w *Response) Tunnel(head exchange.Head) (*Tunnel, error) {
	head.Tunnel = (*take)(w.ex)
	w.Start(head)
	if err := w.publish(&part{}); err != nil {
		return nil, err
	}
	p, ex := w.pool, w.ex
	p.mu.Lock()
	for ex.tunnel == nil && !ex.gone {
		ex.room.Wait()
	}
	w.tunnel = ex.tunnel
	p.mu.Unlock()
	if w.tunnel == nil {
		return nil, ErrGone
	}
	return w.tunnel, nil
}

// take is an exchange that waits for its connection.
type take exchangeState

// Take implements exchange.Tunnel.
func (t *take) Take(socket int, head, early []byte) {
	tunnel := &Tunnel{Client: os.NewFile(uintptr(socket), "client"), Head: head, Early: early}
	mu := t.room.L
	mu.Lock()
	t.tunnel = tunnel
	t.pool.dug++
	t.room.Signal()
	mu.Unlock()
}

// Carried implements exchange.Tunnel.
func (t *take) Carried() (in, out int64) { return t.tunnel.In.Load(), t.tunnel.Out.Load() }
