package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

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
	line string // "" when everything has been said already; several with newlines between
	err  error  // that line is the text of
}

func (f *failure) Error() string { return f.line }
func (f *failure) Unwrap() error { return f.err }

func usage(err error) error { return &failure{exitUsage, err.Error(), err} }

func notStarted(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &failure{exitStart, err.Error(), err}
}

// ended ends fapws with a code when the reason has been reported.
func ended(code int) error { return &failure{code: code} }

// report writes the lines of err, if it has any, and returns its exit code.
func report(w io.Writer, err error) int {
	if text := err.Error(); text != "" {
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintln(w, "fapws:", line)
		}
	}
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitRuntime
}

// closingTime is what Python has, when nothing is served, to run the script's
// atexit functions and to wait for its threads. python3 waits for ever; a
// supervisor does not.
const closingTime = 5 * time.Second

// exitAfterClosingTime ends the process when Python's end takes too long.
func exitAfterClosingTime(code int, warn func(string)) {
	time.AfterFunc(closingTime, func() {
		warn("the script's threads or atexit functions do not end: leaving without them")
		os.Exit(code)
	})
}
