// Package websocket is the protocol of a connection that has become a WebSocket (RFC 6455): frames of the client become messages for a
// handler, pings find out whether a silent client is there, and both sides end it by a close frame, in either order.
//
// It does no I/O: a Conn reads and writes, and knows the time; a Handler is what the messages are for. Frames and handshakes themselves
// are those of fapws/runtime/websocket. All methods must be called on the event loop.
package websocket
