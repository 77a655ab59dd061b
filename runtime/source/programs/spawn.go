package programs

// #include "spawn.h"
import "C"

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// startProcess runs the program at path, which is absolute, with argv and env ("NAME=value") in the directory dir, or
// the current directory if dir is "". The three files become the standard input, output and error of the new process,
// which has no other descriptors. In the new process, all signals have their default handlers and are not blocked, and
// the limit of open files is the server's original limit. The new process leads a new session, and is killed when the
// server dies. startProcess is safe for concurrent use. The error is of type *os.PathError.
//
// startProcess uses vfork, which copies no memory, so startProcess is fast even in a large process. The calling thread
// waits until the program has started.
func startProcess(path string, argv, env []string, dir string, files [3]*os.File) (*os.Process, error) {
	var text strings.Builder
	put := func(s string) bool {
		text.WriteString(s)
		text.WriteByte(0)
		return !strings.Contains(s, "\x00")
	}
	ok := put(path)
	for _, s := range argv {
		ok = put(s) && ok
	}
	for _, s := range env {
		ok = put(s) && ok
	}
	if ok = put(dir) && ok; !ok {
		return nil, &os.PathError{Op: "exec", Path: path, Err: syscall.EINVAL}
	}
	all := []byte(text.String())
	var fds [3]C.int
	for i, f := range files {
		conn, err := f.SyscallConn() // f.Fd would make the descriptor blocking
		if err == nil {
			err = conn.Control(func(fd uintptr) { fds[i] = C.int(fd) })
		}
		if err != nil {
			return nil, err
		}
	}
	pid, err := C.fapws_spawn((*C.char)(unsafe.Pointer(&all[0])), C.int(len(argv)), C.int(len(env)), fds[0], fds[1],
		fds[2])
	runtime.KeepAlive(files)
	if pid < 0 {
		return nil, &os.PathError{Op: "exec", Path: path, Err: err}
	}
	return os.FindProcess(int(pid))
}
