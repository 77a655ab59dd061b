// Package tunnel gives exchanges that ask for a WebSocket a tunnel: the event loop passes bytes between the client and
// an upstream or an application, which speak the protocol themselves (conn.Tunnel). Start at Server.Offer. All of the
// package belongs to the event loop.
//
// The connection keeps the bytes that the client sends after its request and before the response. A tunnel passes them
// on; without a tunnel, they are the next request. Tunnels have no timeout.
package tunnel
