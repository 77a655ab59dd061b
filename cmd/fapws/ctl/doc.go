// Package ctl is the control socket of a server and its client, the command "fapws ctl": the owner of a server, and
// root, can ask for its state on a unix socket. A server has one such socket, in a directory that only its user can
// enter. It knows no Python and no server: the answers come from functions of package worker or supervisor, which run
// on a goroutine of the socket. Start reading at listen.go.
//
// # The status page
//
// page.go answers below the path of the setting status: a page for people, its figures as JSON, and the metrics
// for Prometheus. It is a responder written in Go, so it answers while Python hangs.
//
// It is for clients on this machine, and for those that have logged in where the host wants a password; see page.go. It
// shows paths, but no query, header, cookie or environment variable.
//
// Viewers are subscribers of StatusChannel, whose events only say that it is time to look again. With a broker there are none, because that
// numbers the events and may be away: the page then looks by itself, after two seconds without an event. Each picture is asked for, so a viewer
// a user after a log-out gets none.
//
// Start reading at page.go. page_body.go makes the HTML, which works without JavaScript, also that of profiles.
package ctl
