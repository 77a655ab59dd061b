package main

import (
	"crypto/tls"
	"io"
	"net"
	"sync"

	"github.com/panjf2000/gnet/v2"
)

// secureServer sends the same responses as server, over TLS. The handshake of crypto/tls blocks, so it runs on a
// goroutine; the loop decrypts and encrypts records.
type secureServer struct {
	server
	config *tls.Config
	plain  [16 << 10]byte
}

func (s *secureServer) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	w := &wire{conn: c}
	w.arrived.L = &w.mu
	w.tls = tls.Server(w, s.config)
	c.SetContext(w)
	go w.handshake()
	return nil, gnet.None
}

func (s *secureServer) OnClose(c gnet.Conn, _ error) gnet.Action {
	if w, ok := c.Context().(*wire); ok {
		w.end()
	}
	return gnet.None
}

// OnTraffic answers the requests in every complete TLS record that has arrived. A request must not be divided between
// records.
func (s *secureServer) OnTraffic(c gnet.Conn) gnet.Action {
	w := c.Context().(*wire)
	input, _ := c.Next(-1)
	if !w.feed(input) {
		return gnet.None
	}
	out := s.scratch[:0]
	for len(w.in) > 0 {
		n, err := w.tls.Read(s.plain[:])
		if err == errNotYet {
			break
		}
		if err != nil {
			return gnet.Close
		}
		for input := s.plain[:n]; len(input) > 0; {
			head, body, err := split(input)
			if err != nil || head == nil {
				return gnet.Close
			}
			out = answer(out, head, body)
			input = input[len(head)+len(body):]
		}
	}
	s.scratch = out[:0]
	if len(out) == 0 {
		return gnet.None
	}
	if _, err := w.tls.Write(out); err != nil {
		return gnet.Close
	}
	_, err := c.Write(w.out)
	w.out = w.out[:0]
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}

// A wire is the net.Conn on which crypto/tls runs. The goroutine of the handshake owns the wire until the handshake
// ends, and then the loop owns it.
type wire struct {
	// the embedded Conn is nil, because crypto/tls calls no other methods.
	net.Conn
	conn gnet.Conn
	tls  *tls.Conn
	out  []byte // records that the loop has encrypted

	mu      sync.Mutex
	arrived sync.Cond
	in      []byte
	done    bool
	ended   bool
}

// errNotYet is a temporary error, after which crypto/tls keeps the incomplete TLS record and can read again.
var errNotYet net.Error = notYet{}

type notYet struct{}

func (notYet) Error() string   { return "nothing has arrived" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

func (w *wire) handshake() {
	err := w.tls.Handshake()
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	if err != nil {
		_ = w.conn.Close()
		return
	}
	_ = w.conn.Wake(nil)
}

// feed takes over the bytes that have arrived, and reports whether the handshake has ended.
func (w *wire) feed(input []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done && len(w.in) == 0 {
		w.in = input // valid until OnTraffic returns; crypto/tls keeps an incomplete record
		return true
	}
	w.in = append(w.in, input...)
	w.arrived.Signal()
	return w.done
}

func (w *wire) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.arrived.Signal()
}

func (w *wire) Read(b []byte) (int, error) {
	if !w.done {
		w.mu.Lock()
		defer w.mu.Unlock()
		for len(w.in) == 0 && !w.ended {
			w.arrived.Wait()
		}
		if len(w.in) == 0 {
			return 0, io.EOF
		}
	} else if len(w.in) == 0 {
		return 0, errNotYet
	}
	n := copy(b, w.in)
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	if w.done {
		w.out = append(w.out, b...)
		return len(b), nil
	}
	return len(b), w.conn.AsyncWrite(append([]byte(nil), b...), nil)
}

func (w *wire) Close() error { return nil }
