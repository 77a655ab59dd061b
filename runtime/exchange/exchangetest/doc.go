// Package exchangetest helps to test sources and protocols. A Client collects the parts of a response without a
// connection or an event loop, for tests of sources. A Host is a server with one site on its own loop, for tests of
// protocols: a source of the test answers all requests.
package exchangetest
