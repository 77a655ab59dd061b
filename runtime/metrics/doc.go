// Package metrics contains a server's counters, gauges and histograms, grouped into OpenMetrics families, merges the
// families of several processes, and formats them as text.
//
// A Recorder counts requests. The event loop updates the Recorder with a few atomic additions in each turn, and any
// goroutine can read the counts, even while a handler blocks the event loop. The number of series depends on the routes
// of the configuration (at most mostRoutes) and on the status classes, but not on clients.
package metrics
