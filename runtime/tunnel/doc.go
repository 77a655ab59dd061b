// Package tunnel connects the client of a WebSocket request directly with an upstream or an application. The upstream
// or application implements the WebSocket protocol itself. Start reading at Server.Offer. All functions and methods
// must be called on the event loop.
//
// The connection keeps the bytes that the client sends after its request and before the response. If a tunnel begins,
// the tunnel forwards these bytes. Otherwise these bytes are the client's next request. Only Tunnel.Idle can end a
// tunnel without traffic.
package tunnel
