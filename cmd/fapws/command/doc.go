// Package command reads the command line and runs the command that it names: it answers
// help, version, import and hash-password itself, and passes the others to packages ctl,
// inspect, supervisor and worker. Package main calls Run, on the main thread.
package command
