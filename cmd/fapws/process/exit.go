package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fapws/runtime/system"
)

func Arguments() []string { return os.Args[1:] }

// These are the exit codes of fapws. A script that calls sys.exit can use any code.
const (
	OK       = 0
	Failed   = 1 // the server failed while it was running, or received a second stop signal
	BadUsage = 2 // wrong usage or setting, or a missing file
	NoStart  = 3
)

// ExitError is an error that ends fapws with an exit code and lines for the user.
type ExitError struct {
	Code int
	// lines for the user, separated by newlines; "" if the error was already reported
	Text string
	err  error
}

func (f *ExitError) Error() string { return f.Text }
func (f *ExitError) Unwrap() error { return f.err }

func ExitUsage(err error) error {
	err = ExitPlain(err)
	return &ExitError{BadUsage, err.Error(), err}
}

// ExitNotStarted returns an ExitError for a failed start, with the exit code BadUsage if one of args is an error about
// a missing file.
func ExitNotStarted(format string, args ...any) error {
	code := NoStart
	for _, arg := range args {
		if err, ok := arg.(error); ok && errors.Is(err, fs.ErrNotExist) {
			code = BadUsage
		}
	}
	err := fmt.Errorf(format, ExitPlainArgs(args)...)
	return &ExitError{code, err.Error(), err}
}

// ExitFrom returns an ExitError that wraps err, with the code of the first *ExitError in the chain of err, or with
// BadUsage.
func ExitFrom(err error) error {
	code := BadUsage
	if f, ok := errors.AsType[*ExitError](err); ok {
		code = f.Code
	}
	return &ExitError{code, err.Error(), err}
}

// ExitSilently returns an ExitError without text, for an error that was already reported.
func ExitSilently(code int) error { return &ExitError{Code: code} }

// ExitLines returns the lines that report err to the user, with advice if err comes from the operating system.
func ExitLines(err error) []string {
	text := ExitPlain(err).Error()
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
		if strings.Contains(line, "PermissionError: ") { // raised by an application while it is loaded
			why, advice, _ := strings.Cut(line, "; ")
			lines[i] = strings.TrimSuffix(why+forUser()+"; "+advice, "; ")
		}
	}
	return lines
}

func ExitReport(w io.Writer, err error) int {
	for _, line := range ExitLines(err) {
		fmt.Fprintln(w, "fapws:", line)
	}
	if f, ok := errors.AsType[*ExitError](err); ok {
		return f.Code
	}
	return Failed
}

// closingTime is the minimum time that the script's atexit functions and threads get after serving has ended. python3
// has no such limit, but a supervisor cannot wait forever.
const closingTime = 5 * time.Second

// ClosingTime returns how long Python may take to end: until deadline, which also limits active requests, but at least
// closingTime.
func ClosingTime(deadline time.Time) time.Duration { return max(closingTime, time.Until(deadline)) }

// ExitAfterClosingTime starts a timer that logs a warning and calls exit, which ends the process, if Python takes
// longer than ClosingTime to end. If the process continues after Python has ended, the caller must stop the timer.
func ExitAfterClosingTime(deadline time.Time, exit func(), warn func(string)) *time.Timer {
	return time.AfterFunc(ClosingTime(deadline), func() {
		warn("threads or atexit functions of the script did not end; exiting without them")
		exit()
	})
}

type plain struct {
	error
	text string
}

func (p plain) Error() string { return p.text }
func (p plain) Unwrap() error { return p.error }

// ExitPlain returns err with a text for users. For an error from package os or net, the text contains the file or host
// and the reason, but not the name of the system call (such as "open"). If the text suggests no next step, ExitPlain
// appends one.
func ExitPlain(err error) error {
	var file *fs.PathError
	var name *net.DNSError
	var op *net.OpError
	var done plain
	raw, text := "", ""
	switch {
	case errors.As(err, &done): // the text of the error is already meant for users
		return err
	case errors.As(err, &name): // This case must precede net.OpError, because a net.OpError can wrap this error.
		raw, text = name.Error(), "host "+name.Name+" is not known"
		if !name.IsNotFound {
			text = "host " + name.Name + " cannot be looked up: " + name.Err
		}
		if errors.As(err, &op) {
			raw = op.Error()
		}
	case errors.As(err, &op):
		raw, text = op.Error(), system.Cause(op.Err).Error()
		if op.Timeout() {
			text = "no answer in time"
		}
	case errors.As(err, &file):
		raw, text = file.Error(), file.Path+": "+system.Cause(file.Err).Error()
	default:
		return err
	}
	text = strings.Replace(err.Error(), raw, text, 1)
	if !strings.Contains(text, "; ") {
		text += nextStep(err, name != nil)
		if folder, ok := logFolder(err, file); ok {
			text += "; systemd creates it with LogsDirectory=" + folder
		}
	}
	return plain{err, text}
}

func ExitPlainArgs(args []any) []any {
	for i := range args {
		if err, ok := args[i].(error); ok {
			args[i] = ExitPlain(err)
		}
	}
	return args
}

// forUser returns " for user NAME", or "" for root, because root can read nearly all files.
func forUser() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return " for user " + system.UserName(os.Geteuid())
}

// logFolder returns the directory of a log file below /var/log if this directory is missing.
func logFolder(err error, file *fs.PathError) (folder string, ok bool) {
	if file == nil || !errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	return strings.CutPrefix(filepath.Dir(file.Path), "/var/log/")
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
		return "; check owner and permissions" + forUser()
	}
	return ""
}
