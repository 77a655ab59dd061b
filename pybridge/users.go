package pybridge

// #include <stdlib.h>
import "C"

import (
	"errors"
	"syscall"
)

var changeUsers func(action, file, name, password string) (string, error)

// The result is the text that changeUsers returns, or the text of its error. C must free the result. *failed becomes 0
// if there is no error, the errno of the error if it has one, and otherwise -1. C calls live_change_users without the
// GIL, because computing hashes takes long.
//
//export live_change_users
func live_change_users(action, file, name, password *C.char, failed *C.int) *C.char {
	text, err := changeUsers(C.GoString(action), C.GoString(file), C.GoString(name), C.GoString(password))
	*failed = 0
	if err != nil {
		*failed, text = -1, err.Error()
		if number := syscall.Errno(0); errors.As(err, &number) {
			*failed = C.int(number)
		}
	}
	return C.CString(text)
}
