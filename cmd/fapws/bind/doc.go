// Package bind knows where a server listens: the addresses of the settings, and of the text of a script before it
// runs, and the sockets that a service manager has passed. Its errors say what to do about an address that is taken
// or not allowed. Packages supervisor and worker call it on the main goroutine; package listen makes the sockets.
// Start reading at listen.go.
package bind
