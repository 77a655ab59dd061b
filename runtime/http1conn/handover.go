package http1conn

import (
	"slices"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// ClientState describes an idle HTTP/1 connection for the process that takes it over.
type ClientState struct {
	// addresses of the server and of the client, with ports; "" for a unix socket
	Local, Remote string
	// the client is a proxy that is not trusted; its forwarding fields are ignored
	Untrusted   bool `json:",omitempty"`
	Unannounced bool `json:",omitempty"` // the connection must begin with a header of the PROXY protocol
	// the connection must begin with TLS after the header of the PROXY protocol; only if Unannounced is true
	TLS   bool   `json:",omitempty"`
	Used  bool   `json:",omitempty"` // the connection has carried a request
	Input []byte `json:",omitempty"` // received bytes of a request that waits (TakeWaiting)
}

func stateOf(c *Conn, unannounced bool) ClientState {
	return ClientState{Local: conn.AddressText(c.Local), Remote: conn.AddressText(c.Remote),
		Untrusted: !c.Trusted(), Unannounced: unannounced, TLS: c.awaitsTLS, Used: c.state == StateReady}
}

type IdleClient struct {
	State ClientState
	// descriptor of the connection, which the caller of TakeIdle owns
	FD int
}

// TakeIdle removes the idle HTTP/1 connections from the loop and returns them for another process. TakeIdle does not
// remove connections after a TLS handshake, because the keys stay in this process, nor a connection whose next request
// has already arrived. These connections close after their next response.
func (s *Server) TakeIdle() (list []IdleClient) {
	s.Set.Each(func(p conn.Protocol) {
		var c *Conn
		unannounced := false
		switch p := p.(type) {
		case *Conn:
			c = p
		case prefaceReader:
			c = p.Conn
		case proxyHeader:
			c, unannounced = p.Conn, true
		}
		switch {
		case c == nil || c.Subrequest() || c.FromDoor() || !c.Movable():
		case c.state != StateNew && c.state != StateReady:
		case c.Busy() || c.Yields() || c.Half || c.Gathers() || c.WaitsForAgain() || len(c.Pending()) > 0:
		default:
			list = append(list, IdleClient{stateOf(c, unannounced), c.Fd()})
			c.Detach()
		}
	})
	return list
}

// TakeWaiting removes the connection of x, whose handler has not begun, from the loop and returns it for another process,
// which then gets the request again: text is the request as the client has sent it. ok is false if the connection stays,
// because it uses TLS, or has sent further requests that are active.
func (s *Server) TakeWaiting(x *exchange.Exchange, text []byte) (one IdleClient, ok bool) {
	c, ok := x.Stream.(*Conn)
	if !ok || c.Subrequest() || c.FromDoor() || !c.Movable() || c.active.First != x || c.active.Last != x || c.body != nil ||
		c.Half || c.Gathers() {
		return one, false
	}
	one = IdleClient{stateOf(c, false), c.Fd()}
	one.State.Used, one.State.Input = true, slices.Concat(text, c.Pending())
	c.Detach()
	return one, true
}

// Arrive serves an idle connection that TakeIdle in a different process has returned. Arrive owns fd.
func (s *Server) Arrive(d *ClientState, fd int) {
	c, err := s.NewClient(fd, conn.AddressOf(d.Local), conn.AddressOf(d.Remote), d.Unannounced)
	if err != nil {
		s.Set.Log(logfile.Error, "%v", err)
		unix.Close(fd)
		return
	}
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
