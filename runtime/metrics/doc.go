// Package metrics has what a server counts of itself, in the form of OpenMetrics: families of counters, gauges and
// histograms, which are added up over processes and written as text. It knows nothing of HTTP; std only.
//
// A Recorder counts requests. It is written on the event loop, by a handful of atomic additions for each of its turns, and
// read from any goroutine, so a handler that blocks the loop is seen as well. The number of series is that of the
// mounts of the configuration, at most mostRoutes, times the classes of status: it does not depend on clients.
//
// Start reading at family.go, which also writes the two text formats. recorder.go has the counting.
package metrics
