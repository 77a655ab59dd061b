// Fapws serves Python applications over HTTP: the PATHS of a script, and WSGI and ASGI
// applications.
package main

import (
	"os"
	"runtime"

	"fapws/cmd/fapws/command"
	"fapws/cmd/fapws/exit"
	_ "fapws/cmd/fapws/limits" // checks them before main
)

// The main goroutine stays on the main thread of the process: Python's main
// thread is the one that starts it, and scripts expect to be run on it.
func init() { runtime.LockOSThread() }

func main() {
	code, err := command.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		code = exit.Report(os.Stderr, err)
	}
	os.Exit(code)
}
