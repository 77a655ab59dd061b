package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
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

// tellFull logs that requests have waited for seconds because all threads run handlers, and names the handlers.
func (h *Handler) tellFull(full C.core_full) {
	subject := fmt.Sprintf("all %d threads (--threads) are busy", full.counted)
	switch {
	case full.live >= C.CORE_MAX_THREADS:
		subject = fmt.Sprintf("all %d threads that a process may have are busy", C.CORE_MAX_THREADS)
	case full.counted == 1:
		subject = "the only thread (--threads) is busy"
	}
	advice := "they wait for something: --threads runs more of them at a time"
	switch {
	case full.live >= C.CORE_MAX_THREADS:
		advice = "--workers runs more processes; async handlers, for WebSockets and event streams, too, need no threads"
	case full.computes != 0:
		advice = "they compute: --workers runs them on more processors"
	}
	if h.config.Timeout == 0 && full.live < C.CORE_MAX_THREADS {
		advice += "; --timeout ends handlers that hang"
	}
	active, ok := h.Active(tellWait)
	if !ok {
		subject, advice = errNoGIL.Error(), "fapws ctl stack shows where"
	}
	new(task).report(logfile.Warning, "%s, and %s; %s%s\n", subject,
		waitFor(int(full.queued), time.Duration(full.first_ns)), whereBusy(active), advice)
}

func waitFor(queued int, first time.Duration) string {
	if queued == 1 {
		return "1 request has waited for " + seconds(first)
	}
	return fmt.Sprintf("%d requests wait, the first for %s", queued, seconds(first))
}

// whereBusy returns the beginning of a sentence that names the handlers, or "" if no handler runs on a thread any
// longer, or if the stacks could not be read.
func whereBusy(active []ActiveRequest) string {
	texts := places(active, func(r *ActiveRequest) bool { return strings.HasPrefix(r.State, onThread) })
	if len(texts) == 0 {
		return ""
	}
	return "they run " + strings.Join(texts, ", ") + "; "
}

// Unfinished returns a line about the handlers that have not returned, with the code that they execute, or "" if no
// request is active. Unfinished waits for the GIL for at most the duration wait, and is safe for concurrent use.
func (h *Handler) Unfinished(wait time.Duration) string {
	active, ok := h.Active(wait)
	texts := places(active, func(r *ActiveRequest) bool { return strings.HasPrefix(r.State, running) || r.At != "" })
	if len(texts) == 0 {
		return ""
	}
	line := "a handler did not return: " + strings.Join(texts, ", ")
	if ok {
		return line
	}
	var threads []string
	for _, t := range dumpThreads() {
		threads = append(threads, t.stack.own().place())
	}
	return fmt.Sprintf("%s; %v; the threads execute %s", line, errNoGIL,
		strings.Join(threads[:min(len(threads), tellMost)], ", "))
}

// places returns texts such as "GET /slow at app.py:12 in slow" for the active requests that fits accepts, the most
// frequent first, and at most tellMost of them.
func places(active []ActiveRequest, fits func(*ActiveRequest) bool) []string {
	n := map[string]int{}
	for i := range active {
		if r := &active[i]; fits(r) {
			n[strings.TrimSuffix(r.Request+" at "+r.At, " at ")]++
		}
	}
	texts := slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(n[b]-n[a], strings.Compare(a, b)) })
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
	return texts
}

// Measure starts to count how long requests and threads wait. Only one goroutine at a time can call Measure.
func (h *Handler) Measure() {
	bounds := metrics.Bounds
	C.core_count_waits((*C.int64_t)(unsafe.Pointer(&bounds[0])), C.int(len(bounds)))
}

// Metrics returns the waiting times of requests and threads, and the metrics of the application (fapws.metrics).
// Metrics does not need the GIL, and is safe for concurrent use.
func (h *Handler) Metrics() []metrics.Family {
	var w C.core_waits
	C.core_read_waits(&w)
	all := []metrics.Family{
		waits("fapws_queue_wait_seconds", "Time from the arrival of a request until its handler begins.", w.queue_wait),
	}
	if h.config.Threads > 0 {
		all = append(all,
			waits("fapws_gil_wait_seconds",
				"Time that a thread with a new request waits for the GIL; waits inside of handlers are not seen.",
				w.gil_wait),
			metrics.Family{Name: "fapws_threads", Kind: metrics.Gauge,
				Help: "Python threads for handlers; gil: they wait for the GIL with a new request; waiting: their " +
					"handlers have waited for long, so that others run in their place; stuck: their requests " +
					"have timed out.", Series: []metrics.Series{
					{Labels: metrics.Labels("state", "busy"),
						Value: float64(max(0, w.live-w.idle-w.stuck-w.aside-w.waiting))},
					{Labels: metrics.Labels("state", "gil"), Value: float64(w.waiting)},
					{Labels: metrics.Labels("state", "idle"), Value: float64(w.idle)},
					{Labels: metrics.Labels("state", "stuck"), Value: float64(w.stuck)},
					{Labels: metrics.Labels("state", "waiting"), Value: float64(w.aside)},
				}},
			metrics.One("fapws_threads_limit", metrics.Gauge, "",
				"Python threads that there may be, without those that wait or are stuck.", float64(h.config.Threads)),
		)
	}
	all = append(all, metrics.One("fapws_queue_length", metrics.Gauge, "", "Requests that wait for a thread.",
		float64(w.queued)),
		metrics.Family{Name: "fapws_queue_first_wait_seconds", Kind: metrics.Gauge, Unit: "seconds", Over: metrics.Max,
			Help:   "How long the request has waited that waits longest for a thread; 0: none does.",
			Series: []metrics.Series{{Value: time.Duration(w.first_ns).Seconds()}}})
	return append(all, applicationMetrics()...)
}

func waits(name, help string, d *C.core_durations) metrics.Family {
	f := metrics.Family{Name: name, Kind: metrics.Histogram, Unit: "seconds", Help: help, Bounds: metrics.Seconds()}
	s := metrics.Series{Counts: make([]int64, len(f.Bounds)+1)}
	for i := range s.Counts {
		s.Counts[i] = atomic.LoadInt64((*int64)(&d.counts[i]))
	}
	s.Total = float64(atomic.LoadInt64((*int64)(&d.sum_ns))) / 1e9
	f.Series = []metrics.Series{s}
	return f
}

func applicationMetrics() (families []metrics.Family) {
	var n C.size_t
	text := C.core_application_metrics(&n)
	if text == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(text))
	_ = json.Unmarshal(C.GoBytes(unsafe.Pointer(text), C.int(n)), &families)
	return families
}
