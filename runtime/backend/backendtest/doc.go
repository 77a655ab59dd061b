// Package backendtest starts servers with responders and asks them over real connections, for the tests of package
// backend and of the sources below runtime/source.
package backendtest
