package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"time"
	"unsafe"
)

// ProfileStack is a stack of functions with the number of times that a profile has seen it.
type ProfileStack struct {
	Frames []string `json:"frames"` // "function (file)", the outermost first
	N      int      `json:"n"`
}

// errProfiles is the error of Profile while another profile is recorded.
var errProfiles = errors.New("a profile is being recorded already")

// Profile returns what all Python threads do for a time, sampled a hundred times a second by a thread of fapws.contrib.profile, which
// ends by itself. It is safe for concurrent use, but records one profile at a time.
func (h *Handler) Profile(ctx context.Context, d time.Duration) (stacks []ProfileStack, err error) {
	began := -1
	if err := h.whenFree(ctx, func() { began = int(C.core_profile_begin(C.double(d.Seconds()))) }); err != nil {
		return nil, err
	}
	switch began {
	case 0:
		return nil, errProfiles
	case 1:
	default:
		return nil, errors.New("the profile cannot be recorded; the error log says why")
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var text string
	err = h.whenFree(ctx, func() {
		if all := C.core_profile_stacks(); all != nil {
			text = C.GoString(all)
			C.free(unsafe.Pointer(all))
		}
	})
	if err == nil {
		err = json.Unmarshal([]byte(text), &stacks)
	}
	return stacks, err
}

// whenFree runs f, which needs the GIL, and returns when it has ended. If it has not until ctx ends, f may still run later.
func (h *Handler) whenFree(ctx context.Context, f func()) error {
	done := h.withGIL(f)
	if done == nil {
		return errors.New("the server is stopping")
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errNoGIL
	}
}
