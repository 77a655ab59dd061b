// Package command reads the command line and runs its command. The package implements help, version, import, check,
// routes, shell, user and hash-password; packages ctl, supervisor and worker implement the other commands. Package main
// calls Run, on the main thread.
//
// Start reading at command.go, which also chooses between a single process and a supervisor. webconf.go reads the lines
// of httPyServer's web.conf:
//
//	host DOMAIN ROOT      the directory of a domain; "default" is every other one
//	media EXTENSION TYPE  the media type of files
//	parameter NAME VALUE  timeout, in seconds
package command
