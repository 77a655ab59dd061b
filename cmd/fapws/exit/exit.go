package exit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
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

// closingTime is how long Python may run the script's atexit functions and wait for
// its threads after serving has ended. python3 waits without a limit; a supervisor
// does not.
const closingTime = 5 * time.Second

// AfterClosingTime ends the process with code, after a warning, when Python takes
// too long to end. Stop the timer if the process goes on after Python has ended.
func AfterClosingTime(code int, warn func(string)) *time.Timer {
	return time.AfterFunc(closingTime, func() {
		warn("threads or atexit functions of the script did not end; exiting without them")
		os.Exit(code)
	})
}

// Reason returns the system's error about a file, without the name of the call.
func Reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// plain is an error whose text is for users.
type plain struct {
	error
	text string
}

func (p plain) Error() string { return p.text }
func (p plain) Unwrap() error { return p.error }

// Plain returns err with a text for users: an error of the packages os or net in it is the file or host and the reason, without the name
// of the call ("open x: ", "dial tcp 127.0.0.1:1: connect: "), and a next step follows where the text has none.
func Plain(err error) error {
	var file *fs.PathError
	var name *net.DNSError
	var op *net.OpError
	raw, text := "", ""
	switch {
	case errors.As(err, &name): // before the OpError around it
		raw, text = name.Error(), "host "+name.Name+" is not known"
		if !name.IsNotFound {
			text = "host " + name.Name + " cannot be looked up: " + name.Err
		}
		if errors.As(err, &op) {
			raw = op.Error()
		}
	case errors.As(err, &op):
		raw, text = op.Error(), Reason(op.Err).Error()
		if op.Timeout() {
			text = "no answer in time"
		}
	case errors.As(err, &file):
		raw, text = file.Error(), file.Path+": "+Reason(file.Err).Error()
	default:
		return err
	}
	text = strings.Replace(err.Error(), raw, text, 1)
	if !strings.Contains(text, "; ") {
		text += nextStep(err, name != nil)
	}
	return plain{err, text}
}

func nextStep(err error, name bool) string {
	switch {
	case name:
		return "; correct the name, or the resolver of this machine"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "; start the server there, or correct the address"
	case errors.Is(err, fs.ErrNotExist):
		return "; correct the name, or create it"
	case errors.Is(err, fs.ErrPermission):
		return "; check owner and permissions"
	}
	return ""
}
