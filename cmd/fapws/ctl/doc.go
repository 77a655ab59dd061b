// Package ctl is the control socket of a server and its client, the command "fapws ctl": the owner of a server, and
// root, can ask for its state on a unix socket. A server has one such socket, in a directory that only its user can
// enter. It knows no Python and no server: the answers come from functions of package worker or supervisor, which run
// on a goroutine of the socket. Start reading at protocol.go.
package ctl
