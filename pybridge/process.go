package pybridge

// #include <malloc.h>
// #include <stdlib.h>
// #include "shim.h"
// #ifdef __GLIBC__
// #define KEPT_BLOCK (2 << 20)
// static void trim(void) {
//   static int keeps;
//   malloc_trim(0);
//   if (keeps) return;
//   /* When a block of this size is freed, glibc begins to take blocks of up to this size from memory that it keeps for
//    * them. Otherwise the kernel would have to clear new pages for each body and each message. Before the start is over,
//    * this would leave gaps in the heap. Where confine has set M_MMAP_THRESHOLD, this has no effect. */
//   keeps = 1;
//   void *volatile block = malloc(KEPT_BLOCK);
//   free(block);
// }
// #else
// static void trim(void) {}
// #endif
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"unsafe"

	python3 "github.com/go-python/cpy3"

	"fapws/runtime/logfile"
)

var keeping sync.Mutex

// KeepFromChildren makes each process that the application forks (os.fork, multiprocessing) close the descriptor of c
// and, if c is a listener, all connections that were accepted from it. The server must never close c, because
// children would close a new descriptor that gets the same number. KeepFromChildren is safe for concurrent use.
func KeepFromChildren(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		keeping.Lock()
		defer keeping.Unlock()
		C.core_keep_from_children(C.int(fd))
	})
}

// ServeForks forks a child for each request that package runtime/source/programs sends on the socket control
// (contrib/fapws/_fork.py), and returns after the peer has closed the socket. The children serve the mounts of this App
// with the Timeout, Debug, SendFile and Accel of c. ServeForks must be called instead of Start, on the thread of Load.
// The process must have no other work. A child has none of Go's threads, so it runs only C and Python, and never
// returns to Go.
func (a *App) ServeForks(c RunConfig, control int) error {
	C.core_take_gil()
	defer C.core_release_gil()
	mounts := python3.PyList_New(0)
	for i := range a.mounts {
		m := &a.mounts[i]
		// the tuple is never released
		python3.PyList_Append(mounts, tuple(m.callable, text(m.Name), orNone(m.environ), orNone(m.start)))
	}
	_, err := callPackage("_fork", "serve", python3.PyLong_FromLong(control), mounts,
		python3.PyFloat_FromDouble(c.Timeout.Seconds()), python3.PyLong_FromLong(c.Debug),
		flag(c.SendFile || c.Accel),
		flag(look.Load() == int32(logfile.Object)))
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

// Forkable returns an error that names the first mount that --fork cannot serve, or nil. Forkable is safe for
// concurrent use.
func (c *Contents) Forkable() error {
	for i := range c.Apps {
		for _, m := range c.Apps[i].Table {
			if m.Static == "" && m.CGI == "" && !kinds[m.Kind].forks {
				return fmt.Errorf("--fork serves synchronous handlers only, but %s is %s: remove --fork, or "+
					"use --workers", m.Name, kinds[m.Kind].article)
			}
		}
	}
	return nil
}

// Paths returns the absolute paths of directories and archives from which Python and the applications can read files
// after loading. The result consists of the search path for modules, and the directories of loaded modules. Paths must
// be called on the thread of Load.
func (a *App) Paths() ([]string, error) {
	C.core_take_gil()
	defer C.core_release_gil()
	return packageTexts("_sandbox", "paths")
}

// Targets returns those URL paths of the applications that contain no parameters, so that a test can request these
// paths. Targets must be called on the thread of Load.
func (a *App) Targets() ([]string, error) {
	C.core_take_gil()
	defer C.core_release_gil()
	return packageTexts("_sandbox_check", "targets", a.entries())
}

// Warnings returns a line for each package that the applications use in a way that fails with this number of threads.
// Warnings must be called on the thread of Load.
func (a *App) Warnings(threads int) ([]string, error) {
	C.core_take_gil()
	defer C.core_release_gil()
	return packageTexts("_framework", "warnings", flag(threads > 0))
}

// packageTexts calls a function of package fapws that returns a list of str, with the GIL.
func packageTexts(module, function string, args ...*python3.PyObject) ([]string, error) {
	result, err := askPackage(module, function, args...)
	if err != nil {
		return nil, err
	}
	defer result.DecRef()
	var list []string
	for _, one := range items(result) {
		if text := python3.PyUnicode_AsUTF8(one); text != "" {
			list = append(list, text)
		} else {
			python3.PyErr_Clear() // the text is not valid UTF-8
		}
	}
	return list, nil
}

// TrimHeap makes malloc return its free memory to the kernel, and is safe for concurrent use.
func TrimHeap() { C.trim() }
