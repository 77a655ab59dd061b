package http1conn

import (
	"bytes"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// ClientState describes an idle HTTP/1 connection for the process that takes it over.
type ClientState struct {
	Local, Remote string // addresses with ports; "" of a unix socket
	Untrusted     bool   `json:",omitempty"` // forwarding fields are ignored, whatever the address
	Unannounced   bool   `json:",omitempty"` // the connection must begin with a header of the PROXY protocol
	TLS           bool   `json:",omitempty"` // the connection must begin with TLS, perhaps after that header
	Used          bool   `json:",omitempty"` // the connection has carried a request
	Input         []byte `json:",omitempty"` // of a request that waits for Config.Current
}

// IdleClient is an idle connection that was taken from the loop.
type IdleClient struct {
	State ClientState
	FD    int // belongs to the receiver
}

// TakeIdle takes the idle connections of HTTP/1 from the loop, for another process. It closes the idle connections of
// TLS, whose keys stay here, except new ones: a client retries a request on another connection only if the first
// connection has carried a request before (RFC 9110 §9.2.2). A connection with a request that has arrived stays.
func (s *Server) TakeIdle() (list []IdleClient) {
	s.Set.Each(func(p conn.Protocol) {
		var c *Conn
		unannounced := false
		switch p := p.(type) {
		case *Conn:
			c = p
		case prefaceReader:
			c = p.Conn
		case helloReader:
			c = p.Conn
		case proxyHeader:
			c, unannounced = p.Conn, true
		}
		switch {
		case c == nil || c.Subrequest() || c.state != StateNew && c.state != StateReady && c.gate != asking:
		case c.Busy() || c.Yields() || c.Half || c.Gathers() || c.WaitsForAgain() || len(c.Pending()) > 0 && c.gate != asking:
		case c.Transport() == nil:
			list = append(list, c.depart(unannounced))
		case (c.state == StateReady || s.Config.Current != nil && s.Set.Now-c.Stamp > maxUnused) && !c.Unread() && c.gate != asking:
			c.Close("another process serves")
		}
	})
	return list
}

// maxUnused is how long the first request of a connection with TLS may be on its way, with Config.Current. Browsers open
// connections before they need them, and open another one if the server closes such a connection.
const maxUnused = int64(2 * time.Second)

// depart takes c, which is idle, from the loop.
func (c *Conn) depart(unannounced bool) IdleClient {
	d := IdleClient{FD: c.Fd(), State: ClientState{
		Local: exchange.AddressText(c.Local), Remote: exchange.AddressText(c.Remote),
		Untrusted: !c.Trusted(), Unannounced: unannounced, TLS: c.awaitsTLS,
		Used: c.state == StateReady, Input: bytes.Clone(c.Pending()),
	}}
	c.gate = closed
	c.Unwatch()
	c.Detach()
	return d
}

// Arrive serves an idle connection that TakeIdle has taken in another process. It owns fd.
func (s *Server) Arrive(d *ClientState, fd int) {
	c := s.NewClient(fd, exchange.AddressOf(d.Local), exchange.AddressOf(d.Remote), d.Unannounced)
	if d.Untrusted {
		c.Distrust()
	}
	if d.TLS {
		c.AwaitTLS()
	}
	s.open(c)
	if d.Used && c.state == StateNew {
		c.setState(StateReady)
	}
	if len(d.Input) > 0 && c.state != StateClosed {
		c.Keep(d.Input)
		c.queue()
	}
}

// ResumeSocket makes a connection of fd, and continues the WebSocket d of another process on it: see exchange.Server.Resume. fd remains
// the caller's if there is an error.
func (s *Server) ResumeSocket(d *exchange.SocketState, fd int) (exchange.Socket, error) {
	c := s.NewClient(fd, exchange.AddressOf(d.Local), exchange.AddressOf(d.Remote), false)
	return s.Resume(d, &c.Client, c, func() { s.open(c) })
}
