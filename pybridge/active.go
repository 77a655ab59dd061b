package pybridge

// #include "shim_stack.h"
import "C"

import (
	"fmt"
	"strings"
	"time"
)

// ActiveRequest describes a request that a handler has.
type ActiveRequest struct {
	Request string        // method and path, without the query
	Handler string        // its name
	Age     time.Duration // since it arrived
	State   string        // "running on thread 0", "queued"
	At      string        // where Python is: `app.py:12 in view`; "": not in Python, or not known
}

// Active returns the active requests, the oldest first. If it cannot take the GIL within wait, it does not say where Python is.
// It is safe for concurrent use.
func (h *Handler) Active(wait time.Duration) []ActiveRequest {
	var seen []stackSnapshot
	got := make(chan []stackSnapshot, 1)
	if h.withGIL(func() { got <- sampleStacks(h.config.Threads) }) != nil {
		select {
		case seen = <-got:
		case <-time.After(wait): // a handler holds the GIL
		}
	}
	list := h.tasks()
	active := make([]ActiveRequest, len(list))
	for i := range list {
		t := &list[i]
		active[i] = ActiveRequest{Request: withoutQuery(t.line), Handler: t.name, Age: t.age(), State: t.state()}
		for _, s := range seen {
			if s.rec == t.rec && s.serial == t.serial && len(s.stack) > 0 {
				f := s.stack[0]
				active[i].At = fmt.Sprintf("%s:%d in %s", f.file[strings.LastIndexByte(f.file, '/')+1:], f.line, f.function)
			}
		}
	}
	return active
}

// withoutQuery returns method and path of a request line.
func withoutQuery(line string) string {
	if end := strings.LastIndexByte(line, ' '); end >= 0 {
		line = line[:end]
	}
	line, _, _ = strings.Cut(line, "?")
	return line
}
