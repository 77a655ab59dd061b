// Package sitestest has a server of sites for tests of the protocols above it: all requests are answered by a source that the test gives.
package sitestest
