// Package eventloop waits for events of many descriptors on one goroutine, and calls the handlers of the descriptors.
//
// The package uses gnet's poller (github.com/panjf2000/gnet/v2/pkg/netpoll: epoll), and is the only package of the
// server that imports gnet. The package adds features to the poller: functions that other goroutines post, wake-ups
// by threads outside of Go, a notification at the end of a batch, repeated calls of a handler, and recovery from
// panics. ARCHITECTURE.md, "gnet", describes the cost of the poller.
//
// # A batch
//
// One wait reports events of many descriptors: a batch. If a thread has woken the loop, the batch begins with the
// function of OnWake, which sends the responses that threads have finished. Then the loop calls the handlers of the
// descriptors one after the other (Handler.Ready). At the end of the batch, the loop runs posted functions, and calls
// handlers that have requested another call (Watch.Again). Last, the loop calls the function of AtEndOfBatch, which
// writes the output that the batch has produced.
//
// gnet does not report the end of a batch. The first event of a run therefore adds a task, which gnet runs after all
// events of the batch. This task then fetches the events of all further batches, with one system call for each, and
// returns when the run ends (Loop.batches).
//
// # Another goroutine
//
// After Leave, Run returns between two events, and a different goroutine can call Run again. Events that were not
// handled are reported again. A goroutine that is locked to a thread can thus leave the loop to do long work
// (Server.DoBeside).
//
// # Waking the loop
//
// An integer in memory that all threads share, called the word, says whether the loop must be woken (Waker). The word
// is Awake during a batch, so a thread that has work for a busy loop only sets the word to Called. At the end of the
// batch the word becomes Asleep. If a thread has set the word to Called during the batch, the end of the batch is
// repeated or, after some repetitions, another batch begins at once.
//
// # Rules for handlers
//
//   - Events are hints. If a descriptor is closed and its number is reused within one batch, the new descriptor
//     receives the events of the old one. A handler must therefore rely only on the result of recv, accept or SO_ERROR.
//   - All descriptors are edge-triggered: a descriptor is reported once when input has arrived, and not again for
//     unread input. A handler that does not read everything must call Again, or must remember that there is more input.
//   - Remove must be called before close, because a duplicate in another process would keep the descriptor registered.
//
// # Deadlines
//
// Wheel stores connections by their deadlines, in 256 slots of half a second. While a connection is busy, its owner
// does not move the connection in the wheel but only records the time. When the old deadline passes, the owner adds the
// entry again with the new deadline. A timeout therefore needs no work during a request, but can be detected up to a
// second late.
//
// # Go's scheduler
//
// A busy loop yields every 4 ms. Otherwise Go's monitor thread would preempt the loop with a signal every 10 ms and
// poll it every 20 µs in between. For the same reason GOMAXPROCS is at least 2 (cmd/fapws/worker/config.go).
//
// # Queues
//
// A Queue passes items to a goroutine, for example events for other processes, messages to a supervisor, or snapshots
// of Python's stacks. A Queue is safe for concurrent use.
package eventloop
