// Package pool starts workers, which are processes that serve, and keeps them in number and in health. It owns the
// listening sockets, so workers come and go without any client noticing; it runs no Python and serves nothing. The
// supervising process imports it to run a Pool, and a worker for its end of the Channel.
//
// Everything is decided on one goroutine, that of Run: signals, timers, messages and ends of workers all come to it
// as functions. Start reading at Pool, level.go (how many workers there are) and generation.go (workers that are loaded
// together).
//
// # A generation
//
// A worker is the same program, started with the same arguments and one end of a Channel: a SOCK_SEQPACKET socket
// with JSON in datagrams and descriptors by SCM_RIGHTS.
//
//   - The supervisor makes the sockets before the first worker loads, as far as the addresses are known (package
//     worker), one for each address, which all workers share. It never closes them, so connections wait in the one
//     queue for any worker, also while one loads or dies.
//   - While no worker serves, one gets the sockets before it has loaded, and answers what it can (share): the first of
//     all, or one that replaces a worker that has died.
//   - A worker loads the application and sends its settings ("configured"), among them those that only the script
//     knew. It enters its sandbox,
//     makes the request of --reload-check to itself, and says "loaded". It gets the sockets with "listen".
//   - "retire" makes the old generation stop accepting. It hands its idle connections to the new workers, and closes
//     those over TLS.
//     Others close with the response to their next request, or after five idle seconds.
//   - "depart" follows when all of the old generation accept no more, or after a second. Only then are subscribers
//     handed over and WebSockets closed with 1012, so the new code answers a client that connects again at once.
//
// A generation that does not load is ended, and the old one keeps serving. One that is still loading when a watched
// file changes again is ended for the next. Under --dev its standard error is kept (failure_page.go) and shown to
// browsers. USR2 starts a generation of the program that is now at the same path; when it has loaded, the supervisor
// replaces itself with execve(2), and finds sockets, channels and workers again through inherited descriptors
// (upgrade.go): the process number, which service managers know, stays.
//
// # Trust
//
// A worker may have been taken over by its application (trust.go). It sends its settings before it enters its sandbox
// and before any handler
// runs ("configured", "confined"), and the supervisor acts on no others. One table says what each message does in
// each phase of the life of
// a worker. Messages change only the worker itself, apart from events, purges and counts of subscribers; a worker
// that sends what no worker
// sends, or exceeds a bound, is killed. FuzzHeard sends anything.
//
// # Health
//
// Each serving worker is asked once a second whether it can answer requests (health.go). A slow answer proves
// nothing: the machine may be slow, an inline handler busy, or a debugger attached. A worker is killed and replaced
// if it finds that descriptors of its event loop are not the files that they were (runtime.Server.Intact), or if all
// of its threads sleep and it reads none of the messages that wait for it.
//
// # Channels over workers
//
// Published events go up to the supervisor, which gives each the next number and sends it to all workers, the
// publisher too (relay.go): so there is one order, and all workers receive the same events. The supervisor keeps no
// events and does not read them: the number of the first one and their count are in the JSON of a message, and the
// events follow as they came. Up to 64 KiB of them share a message; a larger event has one for itself.
//
//   - Each worker has an outbox with a goroutine (outbox.go), so one that reads nothing delays no other. It is killed
//     if it sleeps for three seconds over 1 MiB of messages, or does not read for ten (health.go); publishers are delayed while 4 MiB
//     wait for one that is only slow.
//   - A worker that loads joins before it serves: from then on its outbox gets all events, and the supervisor makes a
//     socketpair to another worker, which sends its history behind all events before. So history and events fit
//     together without a gap.
//   - When a worker retires, its subscribers go the same way to its successor, straight from worker to worker: a
//     descriptor with its channels and the number of its last event. Both workers number alike, so it does not matter
//     which one is ahead; the new one forgets no event for a minute.
//   - Epoch and number are part of the state that a supervisor leaves to its successor (USR2), which waits until the
//     outboxes are empty.
//   - The number of subscribers is sent up and down at most four times a second, to each worker the sum of the
//     others.
//   - Broadcasts to WebSockets go the same way, as events of channels that no history keeps.
//   - With --channels, a Broker numbers the events of all servers (broker.go).
//
// Measured: 130,000 events of 100 bytes a second over two workers and to two subscribers, none lost, with the
// supervisor at 15 MB; 400,000 in a single process. 60,000 broadcasts a second with two workers and four clients,
// each to all four. A test publishes 200 events a second while 200 subscribers go through four reloads and an
// upgrade: each gets each event once, in the same order.
package pool
