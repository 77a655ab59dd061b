package websocket

import (
	"net"
	"net/netip"

	"fapws/runtime/accesslog"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// State is an open WebSocket that goes from one server to another, for JSON.
type State struct {
	Group         []byte // of its mount
	Head          []byte // of the request
	Local, Remote string // addresses with ports; "" of a unix socket
	User          string `json:",omitempty"`
	Subprotocol   string `json:",omitempty"`
	Compression   websocket.Compression
	Groups        [][]byte // that it has joined
	Seq           uint64   // it was sent all messages to them up to this one
	Data          []byte   // of the handler
	Input         []byte   // that was read and is no whole message
	Sent, Framed  int64

	Log *accesslog.State `json:",omitempty"` // of the line in the access log to come
}

// mostHandedOver bounds Head, Data and Input together, so that all fits into a message of 160 KiB, as base64.
const mostHandedOver = 80 << 10

// describe returns what s knows of itself.
func (s *Socket) describe() *State {
	return &State{
		Group: []byte(s.group), Subprotocol: s.subprotocol, Compression: s.compression,
		Local: addressText(s.conn.Local), Remote: addressText(s.conn.Remote), User: s.x.User(),
	}
}

// keep copies what the handler gives with the part by which it lets go.
func (d *State) keep(p *exchange.Part) {
	d.Head, d.Data = append([]byte(nil), p.Head.Request...), append([]byte(nil), p.Body...)
}

// size is what mostHandedOver bounds.
func (d *State) size() int { return len(d.Head) + len(d.Data) + len(d.Input) }

// Addresses returns the addresses of the connection.
func (d *State) Addresses() (local, remote net.Addr) { return addressOf(d.Local), addressOf(d.Remote) }

func addressText(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().String()
	}
	return ""
}

func addressOf(text string) net.Addr {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return &net.UnixAddr{Net: "unix"}
}
