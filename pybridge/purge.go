package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"strings"
	"sync/atomic"
	"unsafe"

	python3 "github.com/go-python/cpy3"
)

// purge tells RunConfig.Purge what the application has asked for. On the loop.
func (h *Handler) purge() {
	if atomic.LoadUint32((*uint32)(&h.shared.purges)) == 0 {
		return
	}
	var n C.size_t
	all := C.fapws_purges(&n)
	defer C.free(unsafe.Pointer(all))
	if h.config.Purge == nil || n == 0 {
		return
	}
	for text := range strings.SplitSeq(strings.TrimSuffix(C.GoStringN(all, C.int(n)), "\x00"), "\x00") {
		h.config.Purge(text)
	}
}

// unwrapCached returns what an entry that fapws.cache.cached has made stands
// for, with its rule in JSON; any other entry as it is, with "".
func unwrapCached(entry *python3.PyObject) (*python3.PyObject, string) {
	rule := entry.GetAttrString("_fapws_cache")
	if rule == nil {
		python3.PyErr_Clear()
		return entry, ""
	}
	defer rule.DecRef()
	inner := entry.GetAttrString("__wrapped__") // lives as long as the process, as entry does
	if inner == nil || !python3.PyUnicode_Check(rule) {
		python3.PyErr_Clear()
		return entry, ""
	}
	return inner, python3.PyUnicode_AsUTF8(rule)
}
