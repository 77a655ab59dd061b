// Package ctl implements the control socket of a server and its client, the command "fapws ctl". On this unix socket,
// the server's user and root can request the server's state and send commands. Each server has one control socket, in a
// directory that only its user can enter. The package does not depend on Python: functions in package worker or package
// supervisor compute the responses, on a goroutine of the control socket. Start reading at listen.go.
//
// # The status page
//
// Below the path in the setting `status`, page.go serves a status page, its data as JSON, and metrics for Prometheus.
// The page is served by Go code, so it works even while Python hangs. Only clients on this machine may request the
// page; if the host requires a password, clients that have logged in may request it, too. The page shows paths, but no
// queries, header fields, cookies or environment variables.
//
// Open pages subscribe to StatusChannel. The events on this channel are empty and make each page request the data, so
// that a viewer receives no data after logging out. With a broker, no events are sent.
package ctl
