// Fapws serves Python applications over HTTP: WSGI and ASGI applications, and scripts that define PATHS.
package main

import (
	"os"

	"fapws/cmd/fapws/command"
	_ "fapws/cmd/fapws/confine" // checks the limits of the system before main
	"fapws/cmd/fapws/process"
)

func main() {
	code, err := command.Run(process.Arguments(), os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		code = process.ExitReport(os.Stderr, err)
	}
	os.Exit(code)
}
