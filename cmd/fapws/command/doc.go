// Package command reads the command line and runs the command that it names: it answers help, version, import and
// hash-password itself, and passes the others to packages ctl, inspect, supervisor and worker. Package main calls
// Run, on the main thread. Start reading at command.go; serve.go decides between a single process and a supervisor.
package command
