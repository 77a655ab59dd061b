package upload

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// refusal is an error that a client gets as a response.
type refusal struct {
	status int
	text   string
	cause  error // for the operator; nil: it is the client's business alone
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return fmt.Sprintf("%s: %v", r.text, r.cause)
	}
	return r.text
}

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

var (
	errBusy    = &refusal{status: 423, text: "another upload of this file is under way"}
	errExists  = &refusal{status: 409, text: "a file with this name exists"}
	errNoSpace = &refusal{status: 507, text: "not enough space for the upload"}
)

// refusalOf returns the response to an error. Those of the file system are the operator's, too.
func refusalOf(err error) *refusal {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return &refusal{status: errNoSpace.status, text: errNoSpace.text, cause: err}
	}
	return &refusal{status: 500, text: "cannot store the upload", cause: err}
}
