// Package tunnel connects the client of a WebSocket request directly with an upstream or an application. The upstream
// or application implements the WebSocket protocol itself. Start reading at Server.Offer. All functions and methods
// must be called on the event loop.
//
// The connection keeps the bytes that the client sends after its request and before the response. If a tunnel begins,
// it forwards these bytes; otherwise they are the next request. Tunnels have no timeout.
package tunnel
