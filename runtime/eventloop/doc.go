// Package eventloop waits for many descriptors on one goroutine and calls their handlers.
//
// The package waits with gnet's poller (github.com/panjf2000/gnet/v2/pkg/netpoll: epoll), and is the only package of
// the server that imports gnet. The package adds functions posted by other goroutines, wake-ups by threads that are not
// Go's, the end of a batch, further turns for handlers, and recovery from panics. The package does not know connections
// or HTTP. ARCHITECTURE.md, "gnet", has the cost of the poller.
//
// # A batch
//
// One wait reports many descriptors. If a thread has woken the loop, the batch begins with the function of OnWake,
// which sends what threads have finished. Then the loop calls the handlers of the descriptors one after the other
// (Handler.Ready). At the end it runs posted functions, calls handlers that requested another turn (Watch.Again), and
// calls the function of AtEndOfBatch, which passes on everything that the batch has produced.
//
// gnet does not report the end of a batch. The first event of a batch adds a task, which gnet runs after the other
// events. The loop also waits there, before gnet does (epoll.go).
//
// # Another goroutine
//
// After Leave, Run returns between two events, and another goroutine may call it: events that were not handled are
// reported again. A goroutine that is tied to a thread can thus do long work (Server.DoBeside).
//
// # Waking the loop
//
// A word that all threads share tells whether the loop must be woken (Waker). The word is Awake during a batch, so
// threads that have work for a busy loop only set the word. At the end of the batch it becomes Asleep, unless a thread
// has set it meanwhile: then another batch follows at once.
//
// # Rules for handlers
//
//   - Events are hints. A descriptor that is closed and reused within one batch receives the events of its predecessor.
//     Only the result of recv, accept or SO_ERROR counts.
//   - Everything is edge-triggered: a descriptor is reported once when input has arrived, and not again for unread
//     input. A handler that does not read everything calls Again, or remembers that there is more.
//   - Remove must be called before close: a duplicate in another process would keep the descriptor registered.
//
// # Deadlines
//
// Wheel stores connections by their deadlines, in 256 slots of half a second. The owner of an entry does not touch the
// wheel while it is busy: it only records the time, and the wheel moves the entry when its old deadline passes. A
// timeout therefore costs a request nothing, but fires up to a second late.
//
// # Go's scheduler
//
// A busy loop yields every 4 ms. Otherwise Go's monitor would preempt it by a signal every 10 ms and poll it every 20
// µs in between. For the same reason GOMAXPROCS is at least 2 (cmd/fapws/worker/config.go).
//
// # Queues
//
// A Queue passes items to another goroutine: events for other processes, messages of a supervisor, snapshots of
// Python's stacks. The goroutine exists only while there are items. A Queue does no I/O and is safe for concurrent use.
package eventloop
