// Package eventloop waits for many descriptors on one goroutine and calls their handlers.
//
// It waits with gnet's poller (github.com/panjf2000/gnet/v2/pkg/netpoll: epoll on Linux, kqueue on the BSDs and macOS),
// and is the only package of the server that imports gnet. It adds functions posted by other goroutines, wake-ups by
// threads that are not Go's, the end of a batch, handlers that want another turn, and recovery from panics.
//
// # A batch
//
// One wait reports many descriptors. If a thread has woken the loop, the batch begins with the function of OnWake, in which a
// server sends what threads have finished. Then the handlers of the descriptors are called one after the other
// (Handler.Ready). At the end posted functions run, handlers that have asked for it have another turn (Watch.Again), and the
// function of AtEndOfBatch is called, in which a server hands over everything that the batch has brought.
//
// # Waking the loop
//
// A word that is shared with all threads says whether the loop has to be woken (exchange.Waker). It is Awake from the
// beginning of a batch to its end, so threads that have something for a busy loop only set the word. At the end it becomes
// Asleep, unless a thread has set it meanwhile: then another batch follows at once.
//
// # Rules for handlers
//
//   - Events are hints. A descriptor that is closed and used again within one batch gets the events of its predecessor.
//     Only what recv, accept or SO_ERROR says counts.
//   - Everything is edge-triggered: a descriptor is reported once when something has come, and not again because of what
//     was left. A handler that does not read everything calls Again, or remembers that there is more.
//   - Remove comes before close: a duplicate in another process would keep the descriptor reported.
package eventloop
