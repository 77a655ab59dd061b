package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"encoding/json"
	"sync/atomic"
	"unsafe"

	"fapws/runtime/metrics"
)

// Measure makes the interpreter count from now on how long requests and threads wait, which costs each request two looks at
// the clock at most. It may be called again, but not at the same time.
func (h *Handler) Measure() {
	bounds := metrics.Bounds
	C.core_count_waits((*C.int64_t)(unsafe.Pointer(&bounds[0])), C.int(len(bounds)))
}

// Metrics returns what was counted, with the metrics of the application (fapws.metrics). It is safe for concurrent use and
// needs no GIL.
func (h *Handler) Metrics() []metrics.Family {
	var w C.core_waits
	C.core_read_waits(&w)
	all := []metrics.Family{
		waits("fapws_queue_wait_seconds", "Time from the arrival of a request until its handler begins.", w.queue_wait),
	}
	if h.config.Threads > 0 {
		all = append(all,
			waits("fapws_gil_wait_seconds", "Time that a thread with a new request waits for the GIL; waits inside of handlers are not seen.", w.gil_wait),
			metrics.Family{Name: "fapws_threads", Kind: metrics.Gauge, Help: "Python threads for handlers; gil: they wait for the GIL with a new request; stuck ones have timed out and do not return.", Series: []metrics.Series{
				{Labels: metrics.Labels("state", "busy"), Value: float64(max(0, w.live-w.idle-w.stuck-w.waiting))},
				{Labels: metrics.Labels("state", "gil"), Value: float64(w.waiting)},
				{Labels: metrics.Labels("state", "idle"), Value: float64(w.idle)},
				{Labels: metrics.Labels("state", "stuck"), Value: float64(w.stuck)},
			}},
			metrics.One("fapws_threads_limit", metrics.Gauge, "", "Python threads that there may be.", float64(h.config.Threads)),
		)
	}
	all = append(all, metrics.One("fapws_queue_length", metrics.Gauge, "", "Requests that wait for a thread.", float64(w.queued)))
	return append(all, applicationMetrics()...)
}

// waits makes a family of durations that C has counted.
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

// applicationMetrics returns the metrics that Python code has declared.
func applicationMetrics() (all []metrics.Family) {
	var n C.size_t
	text := C.core_application_metrics(&n)
	if text == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(text))
	_ = json.Unmarshal(C.GoBytes(unsafe.Pointer(text), C.int(n)), &all) // C has made it
	return all
}
