// Package banner describes a running server in a few lines: the banner at its start, with the addresses, the
// application, the Python and the mode, and a warning if other machines can reach a server that is open. It writes
// nothing; package presence does.
package banner
