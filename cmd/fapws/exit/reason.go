package exit

import (
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"
)

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
