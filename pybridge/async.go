package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"time"
	"unsafe"

	python3 "github.com/go-python/cpy3"
)

// AsyncConfig says how what is async is run.
type AsyncConfig struct {
	Loop     string // "asyncio", "uvloop", or "auto": uvloop if it can be imported
	Lifespan string // of ASGI applications: "on", "off", or "auto": if they serve it
}

// IsAsync says whether something of what is served needs the asyncio thread. Any goroutine.
func (a *App) IsAsync() bool {
	for i := range a.mounts {
		if kinds[a.mounts[i].Kind].mode != nil {
			return true
		}
	}
	return false
}

// Startup starts the asyncio thread, if something needs it, and the lifespans of the
// ASGI applications, and waits until they have started: for as long as they take.
//
// The error is one line for the user; a traceback may precede it on stderr. On the thread of Load, once, before the
// first Submit.
func (a *App) Startup(c AsyncConfig) error {
	if !a.IsAsync() {
		return nil
	}
	arena := &cArena{}
	defer arena.free()
	var apps []unsafe.Pointer
	known := map[*python3.PyObject]bool{}
	for i := range a.mounts {
		if m := &a.mounts[i]; kinds[m.Kind].lifespan && !known[m.callable] {
			known[m.callable] = true
			apps = append(apps, unsafe.Pointer(m.callable))
		}
	}
	list := arena.pointers(apps)
	C.fapws_take_gil()
	wrong := C.fapws_async_start(arena.str(c.Loop), arena.str(c.Lifespan), list, C.int(len(apps)))
	C.fapws_release_gil()
	if wrong == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(wrong))
	return errors.New(C.GoString(wrong))
}

// Shutdown ends the asyncio thread: tasks have until grace is over, then they are
// cancelled, and lifespans are shut down. It returns whether the thread has ended.
// Any goroutine, when nothing is submitted any more.
func (a *App) Shutdown(grace time.Duration) bool {
	return C.fapws_async_stop(C.int(max(grace, 0).Milliseconds())) != 0
}

func (a *cArena) pointers(list []unsafe.Pointer) *unsafe.Pointer {
	p := C.calloc(C.size_t(len(list)+1), C.size_t(unsafe.Sizeof(uintptr(0))))
	a.all = append(a.all, p)
	copy(unsafe.Slice((*unsafe.Pointer)(p), len(list)), list)
	return (*unsafe.Pointer)(p)
}
