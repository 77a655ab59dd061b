// Package fapwstest runs the built executable (FAPWS_BIN, default build/fapws) for the acceptance tests. Most tests
// run in several modes (see Mode). The scripts that the servers run are in the directory testdata of each package,
// or in acceptance/testdata.
package fapwstest
