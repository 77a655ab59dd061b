package confine

// #cgo library CFLAGS: -DFAPWS_FORM_LIBRARY
// #include "groups.h"
// #include <stdlib.h>
import "C"

import "unsafe"

// groupLimit returns the number of processes and threads that the control groups of this process allow, or 2^64-1 if
// there is no limit. root is the root directory, without a slash at the end.
func groupLimit(root string) uint64 {
	dir, controller, file := C.CString(root), C.CString("pids"), C.CString("pids.max")
	defer C.free(unsafe.Pointer(dir))
	defer C.free(unsafe.Pointer(controller))
	defer C.free(unsafe.Pointer(file))
	return uint64(C.fapws_group_limit(dir, controller, file, file))
}
