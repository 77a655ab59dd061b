package pybridge

// #include "shim.h"
import "C"

import (
	"cmp"
	"fmt"
	"path/filepath"
	"syscall"
)

// A Bundle is the Python part of an executable that contains an application. Python then uses only the modules of the
// bundle.
type Bundle struct {
	File         string // path of the executable
	Offset, Size int64  // of the archive of modules in File; Offset is a multiple of the page size
	Folder       string // absolute path of the directory with the unpacked files
}

var bundle Bundle

// Python returns the path of a link to the executable. A process with this name is a Python interpreter.
func (b *Bundle) Python() string { return filepath.Join(b.Folder, "bin", "python3") }

// Use makes Python import the modules of b. Use must be called once, before Python starts.
func (b *Bundle) Use() error {
	if errno := C.core_map_archive(cString(b.File), C.int64_t(b.Offset), C.size_t(b.Size)); errno != 0 {
		return fmt.Errorf("cannot read the modules of %s: %w", b.File, syscall.Errno(errno))
	}
	bundle, interpreter = *b, b.Python()
	return nil
}

// HasLibrary reports whether the program contains Python's standard library.
func HasLibrary() bool { return C.core_freeze_library() != 0 }

// RunPython runs Python as an interpreter, with the modules of the bundle if Use was called, and returns its exit status. args are
// the arguments of the interpreter. RunPython must be called on the main thread, in a process that does not call Load.
func RunPython(args []string) (status int, err error) {
	if err := checkLibrary(Version()); err != nil {
		return 0, err
	}
	arena := &cArena{}
	defer arena.free()
	name := cmp.Or(interpreter, "python3")
	o := C.core_start_options{
		script:      arena.str(name),
		executable:  arena.str(name),
		argc:        C.int(len(args)),
		argv:        arena.strs(args),
		bundle:      arena.str(bundle.Folder),
		runs_python: 1,
	}
	var why *C.char
	if status = int(C.live_run_python(&o, &why)); status < 0 {
		return 0, fmt.Errorf("cannot start Python %s: %s", Version(), C.GoString(why))
	}
	return status, nil
}
