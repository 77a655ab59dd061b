// Package metrics holds a server's counters, gauges and histograms in families as in OpenMetrics, merges the families
// of several processes, and writes them as text. The package does not depend on HTTP and uses only the standard
// library.
//
// A Recorder counts requests. The event loop updates it with a few atomic additions in each of its turns, and any
// goroutine can read it, even while a handler blocks the loop. The number of series depends on the mounts of the
// configuration, at most mostRoutes, and the classes of status, but not on clients.
package metrics
