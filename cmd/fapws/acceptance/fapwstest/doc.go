// Package fapwstest runs the built executable (FAPWS_BIN, default build/fapws) for the acceptance tests. These tests
// are clients on real sockets and callers of the command, and check in each mode what fapws promises its users. The
// other packages in this directory contain the tests by subject. The served scripts are in testdata of each package, or
// in the common testdata.
package fapwstest
