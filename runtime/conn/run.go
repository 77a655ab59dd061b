package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime/debug"

	"fapws/runtime/logfile"
	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// errNoConfig is why handshakes fail before SetConfig.
var errNoConfig = errors.New("there is no certificate")

// run starts the goroutine.
func (h *Handshake) run() {
	s, c := h.s, h.c
	h.stage = running
	h.in = append([]byte(nil), c.Pending()...)
	c.DropInput()
	h.arrived = make(chan struct{}, 1)
	h.t = &TLSTransport{wire: wire{s: s, handshake: h, local: c.Local, remote: c.Remote, fd: int32(c.Fd()), tcp: c.TCP()}}
	config := s.config.Load()
	if config == nil {
		config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoConfig }}
	}
	h.t.tls = tls.Server(&h.t.wire, config)
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go h.handshake(ctx)
}

// handshake is the goroutine.
func (h *Handshake) handshake(ctx context.Context) {
	own := &turn{of: &h.s.turns}
	h.t.wire.turn = own
	own.take()
	err := h.try(ctx)
	own.give()
	h.s.set.Events.Post(func() { h.ranOut(err) })
}

// try has crypto/tls make the handshake. A panic, of a callback of the configuration, is an error.
func (h *Handshake) try(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.s.set.Log(logfile.Error, "bug: %v in %s", p, debug.Stack())
			err = errors.New("internal error")
		}
	}()
	if err = h.t.tls.HandshakeContext(ctx); err == nil {
		state := h.t.tls.ConnectionState()
		h.t.client, h.t.http2, h.t.resumed = h.s.described.of(&state, &h.choice), state.NegotiatedProtocol == "h2", state.DidResume
	}
	return err
}

// read is wire.Read of the goroutine.
func (h *Handshake) read(b []byte) (int, error) {
	own := h.t.wire.turn
	for {
		h.mu.Lock()
		switch {
		case h.closed: // what has come need not be computed
			h.mu.Unlock()
			return 0, net.ErrClosed
		case len(h.in) > 0:
			n := copy(b, h.in)
			h.in = h.in[n:]
			unpause := h.full && len(h.in) == 0
			h.full = h.full && !unpause
			h.mu.Unlock()
			if unpause {
				h.s.set.Events.Post(h.readOn)
			}
			return n, nil
		case h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		}
		h.idle = true
		h.mu.Unlock()
		own.give()
		<-h.arrived
		own.take()
	}
}

// readOn goes on reading from the connection.
func (h *Handshake) readOn() {
	if h.stage == running && h.c.Paused() {
		h.c.Unpause()
	}
}

// feed gives the goroutine what has come.
func (h *Handshake) feed(b []byte) {
	h.mu.Lock()
	h.in = append(h.in, b...)
	h.idle = false
	h.full = len(h.in) > maxAhead
	full := h.full
	h.mu.Unlock()
	if full {
		h.c.Pause(HeedEnd)
	}
	h.tell()
}

// tell has the goroutine look whether it can go on.
func (h *Handshake) tell() {
	select {
	case h.arrived <- struct{}{}:
	default:
	}
}

// write is wire.Write of the goroutine. The socket takes all of it, unless the chain of certificates is long.
func (h *Handshake) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, net.ErrClosed
	}
	if !h.sending {
		if n, err = system.Send(h.c.Fd(), b, 0); err != nil && err != unix.EAGAIN {
			return n, err
		}
	}
	if n < len(b) {
		h.out = append(h.out, b[n:]...)
		if !h.sending {
			h.sending = true
			h.s.set.Events.Post(h.send)
		}
	}
	return len(b), nil
}

// send has the loop send what the goroutine has written, and the socket has not taken.
func (h *Handshake) send() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	rest := h.out
	h.out = nil
	if h.sending = len(rest) > 0; h.sending {
		h.c.Queue(Output{Items: []Item{{Data: rest}}}, true)
	}
}

// ranOut is called when the goroutine has ended.
func (h *Handshake) ranOut(err error) {
	h.cancel()
	if h.closed {
		h.s.ending--
	}
	h.leave()
	if h.stage == failed { // the connection was closed
		return
	}
	h.stage, h.result = finished, err
	h.conclude()
}

// conclude goes on when the goroutine has ended and everything that it has written was sent.
func (h *Handshake) conclude() {
	if h.sending {
		return
	}
	c, t := h.c, h.t
	if h.result != nil {
		h.explain(h.result)
		return
	}
	h.known = true
	if t.resumed {
		h.s.counts.resumed++
	} else {
		h.s.counts.full++
	}
	t.wire.in, t.wire.handshake, t.wire.turn = h.in, nil, nil
	if len(t.wire.in) == 0 {
		t.wire.in = nil
		// The client has spoken last, in TLS 1.3, and may wait for the acknowledgment before it sends its request. Servers that send session tickets
		// behind its last message acknowledge it with those; crypto/tls sends them before.
		if c.TCP() {
			system.Acknowledge(c.Fd())
		}
	}
	if c.Paused() {
		c.Unpause()
	}
	c.Stamp = h.s.set.Now()
	c.Upgrade(h.next)
	c.SetTransport(t)
	h.done(t)
	c.Schedule()
}
