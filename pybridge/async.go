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

// AsyncConfig configures the asyncio thread.
type AsyncConfig struct {
	Loop     string // "asyncio", "uvloop", or "auto": uvloop if it can be imported
	Lifespan string // of ASGI applications: "on", "off", or "auto": if they serve it
}

// IsAsync reports whether a mount needs the asyncio thread. It is safe for concurrent use.
func (a *App) IsAsync() bool {
	for i := range a.mounts {
		if kinds[a.mounts[i].Kind].mode != nil {
			return true
		}
	}
	return false
}

// Startup starts the asyncio thread, if a mount needs it, and the lifespans of ASGI applications, and waits until they have
// started, without a limit. It must be called once, on the thread of Load, before the first Submit.
//
// The error is one line for the user; a traceback may precede it on stderr.
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

// Shutdown ends the asyncio thread: after grace it cancels tasks, then it shuts down lifespans. It reports whether the thread has
// ended. It may be called on any goroutine, after the last Submit.
func (a *App) Shutdown(grace time.Duration) bool {
	return C.fapws_async_stop(C.int(max(grace, 0).Milliseconds())) != 0
}

func (a *cArena) pointers(list []unsafe.Pointer) *unsafe.Pointer {
	p := C.calloc(C.size_t(len(list)+1), C.size_t(unsafe.Sizeof(uintptr(0))))
	a.all = append(a.all, p)
	copy(unsafe.Slice((*unsafe.Pointer)(p), len(list)), list)
	return (*unsafe.Pointer)(p)
}
