package exit

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// The exit codes of fapws itself; a script that ends by itself has its own.
const (
	OK       = 0
	Failed   = 1 // failed while running, or received a second stop signal
	BadUsage = 2 // wrong usage or setting
	NoStart  = 3 // could not start
)

// Error is an error that ends fapws: lines for the user and an exit code.
type Error struct {
	Code int
	Text string // lines with newlines between; "": the user has read the reason already
	err  error  // with this text
}

func (f *Error) Error() string { return f.Text }
func (f *Error) Unwrap() error { return f.err }

// Usage makes err one that ends fapws with BadUsage.
func Usage(err error) error { return &Error{BadUsage, Plain(err).Error(), err} }

// NotStarted formats an error that ends fapws with NoStart.
func NotStarted(format string, args ...any) error {
	for i := range args {
		if err, ok := args[i].(error); ok {
			args[i] = Plain(err)
		}
	}
	err := fmt.Errorf(format, args...)
	return &Error{NoStart, err.Error(), err}
}

// From makes err an *Error with all of its lines, and the code of the first *Error in it, or of a usage error.
func From(err error) error {
	code := BadUsage
	if f := (*Error)(nil); errors.As(err, &f) {
		code = f.Code
	}
	return &Error{code, err.Error(), err}
}

// Silently is an error that ends fapws with a code after the reason has been reported.
func Silently(code int) error { return &Error{Code: code} }

// Lines returns the lines of err for the user, if it has any. One that ends with a reason of the system says what to do, too.
func Lines(err error) []string {
	text := Plain(err).Error()
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for _, reason := range []error{syscall.ENOENT, syscall.EACCES} {
			if !strings.Contains(line, "; ") && strings.HasSuffix(line, reason.Error()) {
				lines[i] += nextStep(reason, false)
			}
		}
	}
	return lines
}

// Report writes the lines of err to w, if it has any, and returns its exit code.
func Report(w io.Writer, err error) int {
	for _, line := range Lines(err) {
		fmt.Fprintln(w, "fapws:", line)
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Code
	}
	return Failed
}
