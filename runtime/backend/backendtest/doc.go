// Package backendtest provides servers and a client for the tests of package backend and of the sources below
// runtime/source. The servers are Apache, and a TCP server that calls a function of the test for each connection.
package backendtest
