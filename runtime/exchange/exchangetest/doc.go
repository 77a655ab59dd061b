// Package exchangetest has a Sink and a Server for tests of sources: they collect the parts of a response, without a
// connection and without an event loop.
package exchangetest
