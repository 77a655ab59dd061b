// Package exchangetest has two substitutes for tests. A Client collects the parts of a response without a connection
// and an event loop, for tests of sources. A Host is a server with one site on its own loop, for tests of the
// protocols: a source of the test answers all requests.
package exchangetest
