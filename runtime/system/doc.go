// Package system wraps system calls that several packages need in the same form: open descriptors (descriptors.go), and files
// that are opened without following a symbolic link of the application (files.go).
//
// All packages may import it. All functions are safe for concurrent use. No child process inherits what they open.
//
// A descriptor that must survive mistakes of the application, which may close descriptors of others, gets a high number (OpenHigh).
// runtime.Server.Intact notices that such a descriptor was closed.
package system
