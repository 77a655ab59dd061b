package pybridge

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	python3 "github.com/go-python/cpy3"

	"fapws/runtime/system"
)

var keeping sync.Mutex

// KeepFromChildren makes children that the application forks (os.fork, multiprocessing) close a listener and all connections
// accepted from it, or another descriptor that the server never closes, and keeps the application from closing it (package
// descriptors). For other descriptors close-on-exec is enough. It is safe for concurrent use.
func KeepFromChildren(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		system.KeepDescriptor(int(fd))
		keeping.Lock()
		defer keeping.Unlock()
		C.core_keep_from_children(C.int(fd))
	})
}

// ServeForks forks a child for each order of package scgi on control (contrib/fapws/_fork.py), and returns when the other end is
// closed. The children serve the mounts of this App with c's Timeout, Debug, SendFile and Accel. It must be called instead of Start,
// on the thread of Load, in a process that does nothing else: a child, which never returns to Go, misses none of Go's threads. The
// error is one line.
func (a *App) ServeForks(c RunConfig, control *os.File) error {
	C.core_take_gil()
	defer C.core_release_gil()
	mounts := python3.PyList_New(0)
	for i := range a.mounts {
		m := &a.mounts[i]
		mount := python3.PyTuple_New(4) // lives as long as the process
		for at, part := range []*python3.PyObject{m.callable, text(m.Name), orNone(m.environ), orNone(m.start)} {
			part.IncRef()
			python3.PyTuple_SetItem(mount, at, part)
		}
		python3.PyList_Append(mounts, mount)
	}
	_, err := callPackage("_fork", "serve", python3.PyLong_FromLong(int(control.Fd())), mounts,
		python3.PyFloat_FromDouble(c.Timeout.Seconds()), python3.PyLong_FromLong(c.Debug), python3.PyBool_FromLong(int(boolByte(c.SendFile || c.Accel))))
	runtime.KeepAlive(control) // until here, or a collection, which Go makes every two minutes, closes it
	if err == nil && python3.PyErr_Occurred() != nil {
		python3.PyErr_Print()
		err = errors.New("the loader of --fork has failed; see the traceback above")
	}
	return err
}

func orNone(class unsafe.Pointer) *python3.PyObject {
	if class == nil {
		return python3.Py_None
	}
	return (*python3.PyObject)(class)
}

// Forkable returns an error with the first mount that cannot be served by a process for each request. It is safe for concurrent
// use.
func (c *Contents) Forkable() error {
	for i := range c.Apps {
		for _, m := range c.Apps[i].Table {
			if m.Static == nil && m.CGI == "" && !kinds[m.Kind].forks {
				return fmt.Errorf("--fork serves synchronous handlers only, but %s is %s: remove --fork, or use --workers", m.Name, kinds[m.Kind].article)
			}
		}
	}
	return nil
}
