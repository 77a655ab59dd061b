package pybridge

// #include <stdlib.h>
import "C"

import (
	"errors"
	"syscall"
)

var changeUsers func(action, file, name, password string) (string, error)

// live_change_users does the work of a function of fapws.users. live_change_users returns the result or the text of an
// error, which C frees. *failed becomes 0, the errno of the error, or -1. The function computes hashes, so it is called
// without the GIL, on any Python thread.
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
