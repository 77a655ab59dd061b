// Package eventloop waits for many descriptors on one goroutine and calls their handlers.
//
// It waits with gnet's poller (github.com/panjf2000/gnet/v2/pkg/netpoll: epoll on Linux, kqueue on
// the BSDs and macOS), and is the only package that imports gnet. What the poller does not have is
// here: functions posted by other goroutines, wake-ups by threads that are not Go's, the end of a
// batch, handlers that want another turn, and recovery from panics.
//
// # A batch
//
// One wait of the poller reports many descriptors. Their handlers are called one after the other
// (Handler.Ready), then the batch ends: posted functions run, handlers that have asked for it have
// another turn (Watch.Again), and the function of AtEndOfBatch is called, which is where a server
// hands over what the whole batch has brought. The poller does not tell where a batch ends, so the
// first event of one writes to the loop's own wake-up descriptor, which is reported behind the
// others. While single events come, the end follows each of them directly and nothing is written;
// every few events the loop looks whether that is still so.
//
// # Waking the loop
//
// A word that is shared with all threads says whether the loop has to be woken (exchange.Waker).
// It is Awake from the first event of a batch until the end of the batch, so threads that have
// something for a loop that is busy only set the word. At the end of a batch it becomes Asleep, unless
// somebody has called meanwhile: then there is another end of a batch soon.
//
// # Rules for handlers
//
//   - Events are hints. A descriptor that is closed and used again within one batch gets the events
//     of its predecessor. Only what recv, accept or SO_ERROR says counts.
//   - Everything is edge-triggered: a descriptor is reported once when something has come, and not
//     again because of what was left. A handler that does not read everything calls Again, or
//     remembers that there is more.
//   - Remove comes before close: a duplicate in another process would keep the descriptor reported.
package eventloop
