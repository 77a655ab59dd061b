// Package backendtest provides servers and a client for the tests of package backend and of the sources below
// runtime/source: a TCP server with a function for each connection, Apache, and requests over real connections.
package backendtest
