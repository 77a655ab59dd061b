// Package backendtest provides servers and a client for the tests of package backend and of the sources below
// runtime/source.
package backendtest
