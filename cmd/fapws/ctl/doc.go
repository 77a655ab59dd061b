// Package ctl is the control socket of a server and its client, the command "fapws ctl": the owner of a server, and
// root, can ask for the server's state on a unix socket. A server has one such socket, in a directory that only its
// user can enter. The package does not depend on Python: the answers come from functions of package worker or
// supervisor, which run on a goroutine of the socket. Start reading at listen.go.
//
// # The status page
//
// page.go answers below the path of the setting status: a page for people, its figures as JSON, and the metrics for
// Prometheus. The page is a responder written in Go, so it answers while Python hangs. Only clients on this machine may
// request the page, and clients that have logged in if the host requires a password. The page shows paths, but no
// query, header, cookie or environment variable.
//
// Viewers subscribe to StatusChannel, whose empty events make them request the data, so a viewer receives nothing after
// a logout. With a broker there are no events: the page requests the data after two seconds without an event. The page
// also works without JavaScript (page_body.go).
package ctl
