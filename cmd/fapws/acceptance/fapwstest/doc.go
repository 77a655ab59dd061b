// Package fapwstest runs the built executable (FAPWS_BIN, default build/fapws) for the acceptance tests, which check
// what fapws promises its users as a client on the wire or a caller of the command sees it: over real sockets, in each
// mode. The packages beside it hold the tests by subject; they serve the small scripts in their testdata, or in the one
// that they share.
package fapwstest
