// Package wstest is a client of WebSockets for tests and benchmarks. It can do what clients should not: every bit of
// a frame is the caller's. It shares no code with package websocket, which it is to test. Cases returns cases of
// the Autobahn suite, by number.
package wstest
