// Package workqueue has queues whose items are worked off on another goroutine than the one that adds them: events on
// their way to other processes, messages of a supervisor, snapshots of Python's stacks. The goroutine exists only
// while there are items. The package does no I/O. Packages pybridge and cmd/fapws/worker use it; a Queue is safe for
// concurrent use.
package workqueue
