// Package tunnel connects the client of a WebSocket request directly with an upstream or an application that speaks the
// protocol itself: the event loop only passes bytes between both (conn.Tunnel). Start reading at Server.Offer.
// Everything belongs to the event loop.
//
// The connection keeps the bytes that the client sends after its request and before the response. A tunnel forwards
// them; without a tunnel, these bytes are the next request. Tunnels have no timeout.
package tunnel
