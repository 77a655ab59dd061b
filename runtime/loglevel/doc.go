// Package loglevel has the severities of log lines, which all packages of the server share. It imports only the
// standard library.
package loglevel
