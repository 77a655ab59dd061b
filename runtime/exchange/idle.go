package exchange

import "fapws/runtime/conn"

// ClientState describes an idle HTTP/1 connection for the process that takes it over.
type ClientState struct {
	Local, Remote string // addresses with ports; "" of a unix socket
	Untrusted     bool   `json:",omitempty"` // forwarding fields are ignored, whatever the address
	Unannounced   bool   `json:",omitempty"` // the connection must begin with a header of the PROXY protocol
	Used          bool   `json:",omitempty"` // the connection has carried a request
}

// IdleClient is an idle connection that was taken from the loop.
type IdleClient struct {
	State ClientState
	FD    int // belongs to the receiver
}

// TakeIdle takes the idle connections of HTTP/1 from the loop, for another process, and closes those of TLS, whose
// keys stay here. A
// connection with a request that has arrived stays.
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
		case c == nil || c.subrequest != nil || c.awaitsTLS || c.state != StateNew && c.state != StateReady:
		case c.Busy() || c.Yields() || c.Half || c.Gathers() || c.WaitsForAgain() || len(c.Pending()) > 0:
		case c.Transport() == nil:
			list = append(list, c.depart(unannounced))
		case !c.Unread():
			c.Close("another process serves")
		}
	})
	return list
}

// depart takes c, which is idle, from the loop.
func (c *Conn) depart(unannounced bool) IdleClient {
	d := IdleClient{FD: c.Fd(), State: ClientState{
		Local: AddressText(c.Local), Remote: AddressText(c.Remote),
		Untrusted: c.proxy != nil && !c.proxy.trusted, Unannounced: unannounced,
		Used: c.state == StateReady,
	}}
	c.Unwatch()
	c.Detach()
	return d
}

// Arrive serves an idle connection that TakeIdle has taken in another process. It owns fd.
func (s *Server) Arrive(d *ClientState, fd int) {
	c := s.NewClient(fd, AddressOf(d.Local), AddressOf(d.Remote), d.Unannounced)
	if c.proxy != nil && d.Untrusted {
		c.proxy.trusted = false
	}
	s.loop.Open(c)
	if d.Used && c.state == StateNew {
		c.setState(StateReady)
	}
}
