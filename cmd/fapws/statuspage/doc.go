// Package statuspage answers below the path of the setting status: a page for people, its figures as JSON, and the metrics
// for Prometheus. It is a responder written in Go, so it answers while Python hangs.
//
// It is for clients on this machine, and for those that have logged in where the host wants a password; see page.go. It
// shows paths, but no query, header, cookie or environment variable.
//
// Viewers are subscribers of Channel, whose events only say that it is time to look again. With a broker there are none, because that
// numbers the events and may be away: the page then looks by itself, after two seconds without an event. Each picture is asked for, so a viewer
// a user after a log-out gets none.
//
// Start reading at page.go. body.go makes the HTML, which works without JavaScript, and flame.go that of profiles.
package statuspage
