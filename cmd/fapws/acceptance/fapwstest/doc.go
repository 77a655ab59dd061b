// Package fapwstest runs the built executable (FAPWS_BIN, default build/fapws) for the acceptance tests. The tests
// connect to servers by real sockets, and run the command as users do. Most tests run in several modes (see Mode). The
// other packages in acceptance contain the tests, one package for each subject. The scripts that the servers run are in
// the directory testdata of each package, or in acceptance/testdata.
package fapwstest
