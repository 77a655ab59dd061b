// Package exchangetest has two stand-ins for tests. A Client collects the parts of a response, for tests of sources, without a connection and
// without an event loop. A Host is a server of one site on a loop of its own, for tests of the protocols: all requests are answered by a
// source that the test gives.
package exchangetest
