package main

import "fmt"

// The exit codes of fapws itself; a script that ends by itself has its own.
const (
	exitOK      = 0
	exitRuntime = 1 // failed while running, or was told twice to stop
	exitUsage   = 2 // wrong usage or setting
	exitStart   = 3 // could not start
)

// failure is an error that ends fapws: one line for the user and a code.
type failure struct {
	code int
	line string // "" when everything has been said already
}

func (f *failure) Error() string { return f.line }

func usage(err error) error { return &failure{exitUsage, err.Error()} }

func notStarted(format string, args ...any) error {
	return &failure{exitStart, fmt.Sprintf(format, args...)}
}

// ended is how a script that ended by itself ends fapws.
func ended(code int) error { return &failure{code: code} }
