// Package exchangetest helps to test sources and protocols. For tests of sources, a Client collects the parts of a
// response without a connection or an event loop. For tests of protocols, a Host is a server on its own loop with one
// site, whose source belongs to the test and answers all requests.
package exchangetest
