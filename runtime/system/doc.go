// Package system wraps system calls for several packages: open descriptors (descriptors.go), and files that are opened
// without following a symbolic link of the application (files.go).
//
// All functions are safe for concurrent use. No child process inherits the descriptors that they open.
//
// A descriptor that must survive an application that closes descriptors of others gets a high number (OpenHigh).
// runtime.Server.Intact notices that such a descriptor was closed.
package system
