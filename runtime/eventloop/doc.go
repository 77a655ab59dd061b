// Package eventloop waits for many descriptors on one goroutine and calls their handlers.
//
// It waits with gnet's poller (github.com/panjf2000/gnet/v2/pkg/netpoll: epoll), and is the only package of the
// server that imports gnet. It adds functions posted by other goroutines,
// wake-ups by threads that are not Go's, the end of a batch, handlers that want another turn, and recovery from
// panics. It knows nothing of connections or HTTP. Start reading at Loop; ARCHITECTURE.md, "gnet", has the cost of
// the poller.
//
// # A batch
//
// One wait reports many descriptors. If a thread has woken the loop, the batch begins with the function of OnWake, in
// which a server sends what threads have finished. Then the handlers of the descriptors are called one after the
// other (Handler.Ready). At the end posted functions run, handlers that have asked for it have another turn
// (Watch.Again), and the function of AtEndOfBatch is called, in which a server hands over everything that the batch
// has brought.
//
// gnet does not tell where a batch ends. The first event of a batch gives it a task, which it runs after the other events. There the
// loop also waits, before gnet does (epoll.go).
//
// # Another goroutine
//
// Run ends between two events after Leave, and another goroutine may call it: events that were not handled are reported
// once more. So a thread that only one goroutine may use can do long work (Server.DoBeside).
//
// # Waking the loop
//
// A word that is shared with all threads says whether the loop has to be woken (Waker). It is Awake from the
// beginning of a batch to its end, so threads that have something for a busy loop only set the word. At the end it
// becomes Asleep, unless a thread has set it meanwhile: then another batch follows at once.
//
// # Rules for handlers
//
//   - Events are hints. A descriptor that is closed and used again within one batch gets the events of its
//     predecessor. Only what recv, accept or SO_ERROR says counts.
//   - Everything is edge-triggered: a descriptor is reported once when something has come, and not again because of a
//     rest that was not read. A handler that does not read everything calls Again, or remembers that there is more.
//     This saves the kernel a look at each connection that was read, 0.1 µs of a request.
//   - Remove comes before close: a duplicate in another process would keep the descriptor reported.
//
// # Deadlines
//
// Wheel keeps things by the time at which they have to be looked at: connections by their deadlines. It has 256 slots of half a second.
// The owner of a thing does not touch the wheel while the thing is in use: it only notes the time, and the wheel finds a new place when
// the old one comes up. So a timeout costs a request nothing, and ten thousand idle connections cost two list operations each for every
// keep-alive time. The price: timeouts are up to a second late.
//
// # Go's scheduler
//
// A busy loop yields every 4 ms. Otherwise Go's monitor would stop it with a signal every 10 ms, and look every 20 µs
// in between whether it has to: 8 % of the CPU of a JSON handler. For the same reason GOMAXPROCS is at least 2
// (cmd/fapws/worker/config.go).
//
// # Queues
//
// A Queue passes items to another goroutine than the one that adds them: events on
// their way to other processes, messages of a supervisor, snapshots of Python's stacks. The goroutine exists only
// while there are items. The package does no I/O. Packages pybridge and cmd/fapws/worker use it; a Queue is safe for
// concurrent use.
package eventloop
