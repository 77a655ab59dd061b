// Package backendtest has servers and a client for the tests of package backend and of the sources below runtime/source: a server of
// connections that a function answers, Apache, and requests over real connections.
package backendtest
