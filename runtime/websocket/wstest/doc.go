// Package wstest is a WebSocket client for tests and benchmarks. The client can violate the protocol, because the
// caller controls every bit of a frame. Package wstest shares no code with package websocket, which it tests. Cases
// returns numbered cases of the Autobahn test suite.
package wstest
