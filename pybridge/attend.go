package pybridge

// #include "shim.h"
import "C"

import "sync/atomic"

// In inline mode an iterator makes several chunks in a turn only if they are sent meanwhile: a chunk must not wait for the next one
// (PEP 3333).

// Attend implements app.Attended.
func (h *Handler) Attend(on bool) {
	atomic.StoreUint32((*uint32)(&h.shared.attended), uint32(boolByte(on)))
}

// WantsAttendance implements app.Attended.
func (h *Handler) WantsAttendance() bool {
	wants := (*uint32)(&h.shared.unattended)
	return atomic.LoadUint32(wants) != 0 && atomic.SwapUint32(wants, 0) != 0
}

// InTurn implements app.Attended.
func (h *Handler) InTurn() bool { return atomic.LoadUint32((*uint32)(&h.shared.turning)) != 0 }
