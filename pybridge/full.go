package pybridge

// #include "shim.h"
import "C"

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"
)

// Backlog describes the queue of requests that wait for a thread. The zero value means that no request waits.
type Backlog struct {
	Queued int
	First  time.Duration
	// how long requests have waited without any thread taking one of them
	Stalled time.Duration
	// number of threads that do not count for --threads at present, because their handlers wait or have timed out
	Waiting int
}

// Backlog returns the current state of the queue. Backlog is safe for concurrent use and does not need the GIL.
func (h *Handler) Backlog() Backlog {
	if h.config.Threads == 0 {
		return Backlog{}
	}
	var w C.core_waits
	C.core_read_waits(&w)
	return Backlog{int(w.queued), time.Duration(w.first_ns), time.Duration(w.stalled_ns), int(w.aside + w.stuck)}
}

func fullOf(text string) (full C.core_full) {
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&full)), unsafe.Sizeof(full)), text)
	return full
}

const (
	// Maximum time for reading the stacks. If it takes longer, the log says that a handler holds the GIL.
	tellWait = 5 * time.Second
	tellMost = 5 // maximum number of handlers that the log line names
)

// tellFull logs that requests wait although all threads run handlers, and names the handlers.
func (h *Handler) tellFull(full C.core_full) {
	subject := fmt.Sprintf("all %d threads (--threads) are busy", full.counted)
	switch {
	case full.live >= C.CORE_MAX_THREADS:
		subject = fmt.Sprintf("all %d threads that a process may have are busy", C.CORE_MAX_THREADS)
	case full.counted == 1:
		subject = "the only thread (--threads) is busy"
	}
	advice := "--threads and --workers run more handlers at a time"
	if full.replaced > 0 {
		advice = fmt.Sprintf("%d of them wait for something and no longer count: others run in their place",
			full.replaced)
	}
	if h.config.Timeout == 0 {
		advice += "; --timeout ends handlers that hang"
	}
	active, ok := h.sampleActive(tellWait)
	if !ok {
		subject, advice = errNoGIL.Error(), "fapws ctl stack shows where"
	}
	say("%s, and %s; %s; %s\n", subject, waitFor(int(full.queued), time.Duration(full.first_ns)), whereBusy(active),
		advice)
}

func waitFor(queued int, first time.Duration) string {
	if queued == 1 {
		return "1 request has waited for " + seconds(first)
	}
	return fmt.Sprintf("%d requests wait, the first for %s", queued, seconds(first))
}

func whereBusy(active []ActiveRequest) string {
	n := map[string]int{}
	for _, r := range active {
		if strings.HasPrefix(r.State, onThread) {
			n[strings.TrimSuffix(r.Request+" at "+r.At, " at ")]++
		}
	}
	var texts []string
	for text := range n {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(n[b]-n[a], strings.Compare(a, b)) })
	more := len(texts) - tellMost
	texts = texts[:min(len(texts), tellMost)]
	for i, text := range texts {
		if n[text] > 1 {
			texts[i] += fmt.Sprintf(" (%d times)", n[text])
		}
	}
	if more > 0 {
		texts = append(texts, fmt.Sprintf("and %d others", more))
	}
	return "they run " + strings.Join(texts, ", ")
}
