// Fapws serves Python applications over HTTP: the PATHS of a script, and WSGI and ASGI
// applications.
package main

import (
	"os"

	"fapws/cmd/fapws/command"
	"fapws/cmd/fapws/exit"
	_ "fapws/cmd/fapws/limits" // checks them before main
)

func main() {
	code, err := command.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		code = exit.Report(os.Stderr, err)
	}
	os.Exit(code)
}
