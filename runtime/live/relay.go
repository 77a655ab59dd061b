package live

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// A relay is the server's end of a socketpair with the application, and the Carrier and the Sink of the exchange. If
// the application writes an HTTP/1 response to its end, a tunnel between the relay and the client begins. If the client
// uses HTTP/2, the relay first converts the head of this response. If the application returns an ordinary response,
// there is no tunnel.
type relay struct {
	link
	// descriptor of the server's end; -1 when the tunnel owns the descriptor, or after the descriptor was closed
	fd       int
	watch    eventloop.Watch
	answered bool // the last part of the exchange was received
	over     bool
}

// newRelay makes a relay and sets the Socket of the request of x to the application's end, or logs an error and returns
// nil.
func (s *Tunnels) newRelay(x *exchange.Exchange) *relay {
	r := &relay{link: link{s: s, x: x}}
	r.ended = r.cut
	pair, err := system.SocketpairNonblock()
	if err == nil {
		r.fd = pair[0]
		if err = s.conns.Events.Add(&r.watch, r.fd, r); err != nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
		}
	}
	if err != nil {
		x.Log(logfile.Error, fmt.Sprintf("no sockets for a WebSocket: %v", err))
		return nil
	}
	x.Req.Socket = pair[1]
	return r
}

// maxAnswer limits the head that an application writes, in bytes.
const maxAnswer = 16 << 10

// readAnswer reads the head of the response that the application has written to its socket, and no later bytes.
// readAnswer returns nil if the head is incomplete or does not accept a WebSocket. If the head does not accept a
// WebSocket, readAnswer also sends an error response to the client.
func (r *relay) readAnswer() *http1.ResponseHead {
	head := make([]byte, maxAnswer)
	n, _, err := unix.Recvfrom(r.fd, head, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	size := bytes.Index(head[:max(n, 0)], []byte("\r\n\r\n")) + 4
	switch {
	case size >= 4:
	case err == unix.EAGAIN || n > 0 && n < maxAnswer:
		return nil
	default:
		r.malformed("it has no head of at most 16 KiB")
		return nil
	}
	// read the head from the socket; all its bytes have already arrived
	unix.Recvfrom(r.fd, head[:size], unix.MSG_DONTWAIT)
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head[:size])), nil)
	switch {
	case err != nil:
		r.malformed(err.Error())
		return nil
	case answer.StatusCode >= 400:
		r.x.FailWith(exchange.Reply{Status: answer.StatusCode}, nil)
		return nil
	case answer.StatusCode != http.StatusSwitchingProtocols:
		r.malformed("its status is " + answer.Status)
		return nil
	}
	var fields bytes.Buffer
	answer.Header.Write(&fields) // a Buffer returns no errors
	return &http1.ResponseHead{Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1, Fields: fields.Bytes(),
		HasDate: answer.Header["Date"] != nil, HasServer: answer.Header["Server"] != nil}
}

// malformed rejects a WebSocket because the application has sent an invalid response.
func (r *relay) malformed(reason string) {
	r.x.Log(logfile.Error, "the application's response to a request for a WebSocket is malformed: "+reason)
	r.x.FailWith(exchange.Reply{Status: 502}, nil)
}

// Ready is called when the application has written to its end of the socketpair or has closed this end.
func (r *relay) Ready(eventloop.Readiness) {
	var b [1]byte
	if n, _, err := unix.Recvfrom(r.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); err == nil && n > 0 {
		r.open()
	}
}

func (r *relay) open() {
	x := r.x
	if r.halfClosed() {
		return
	}
	var head *http1.ResponseHead
	if x.Version.Has(http1.FramesItself) {
		if head = r.readAnswer(); head == nil {
			return
		}
	}
	r.watch.Remove()
	upstream := new(conn.Conn)
	// The tunnel becomes the protocol at once. It ends at once if an error has closed the connection.
	_ = r.s.conns.OpenOutward(upstream, r.fd, nil, nil)
	r.fd = -1
	// Errors are not logged, because the application itself has ended the tunnel.
	r.begin(r, upstream, 0, func(error) {}, head, nil)
}

// Send discards parts after the tunnel has begun.
func (r *relay) Send(p *exchange.Part) {
	x := r.x
	if p.End == exchange.Detached && !r.Begun() && x.Conn() != nil {
		r.open() // the application may have written just before it has returned
		if !r.Begun() && x.Version.Has(http1.FramesItself) && x.Conn() != nil {
			r.malformed("it has no end")
		}
	}
	switch {
	case !r.Begun():
		x.Send(p)
	case p.Last():
		p.Release()
		r.answered = true
		r.end()
	default:
		p.Release()
	}
}

func (r *relay) Reply(reply exchange.Reply) {
	if !r.Begun() {
		r.x.Reply(reply)
		return
	}
	r.answered = true
	r.end()
}

func (r *relay) Refused() {
	r.x.SetSink(r.x)
	if r.fd >= 0 {
		r.watch.Remove()
		unix.Close(r.fd)
		r.fd = -1
	}
}

func (r *relay) cut() {
	r.over = true
	if !r.answered {
		r.x.Abandon()
	}
	r.end()
}

func (r *relay) end() {
	if r.over && r.answered {
		r.x.End()
	}
}
