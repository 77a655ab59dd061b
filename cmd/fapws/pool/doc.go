// Package pool starts workers, which are processes that serve, and keeps their number and health. The package owns the
// listening sockets, so workers can be replaced without disturbing clients. The supervisor imports it to run a Pool,
// and a worker for its end of the Channel.
//
// All decisions are made on the goroutine of Run, which receives signals, timers, messages and ends of workers as
// functions. Start reading at Pool, level.go (number of workers) and generation.go (workers that load together).
//
// # A generation
//
// A worker runs the same program with the same arguments and one end of a Channel: a SOCK_SEQPACKET socket with JSON in
// datagrams and descriptors by SCM_RIGHTS.
//
//   - The supervisor opens the sockets before the first worker loads if it knows the addresses (package worker). All
//     workers share one socket for each address. The supervisor never closes them, so connections wait in one queue
//     for any worker, even while workers load or die.
//   - While no worker serves, one worker gets the sockets before it has loaded, and answers the requests that need no
//     application (share): the very first worker, or the replacement of a worker that died.
//   - A worker loads the application and sends its settings ("configured"), including those of the script. The worker
//     enters its sandbox, sends the request of --reload-check to itself, and reports "loaded". The worker gets the
//     sockets with "listen".
//   - "retire" makes the old generation stop accepting. The idle connections of the old generation move to the new
//     workers; idle TLS connections are closed. Other connections are closed with the response to their next request,
//     or after five idle seconds.
//   - "depart" follows when all old workers have stopped accepting, or after a second. Only then are subscribers
//     handed over and WebSockets closed with 1012, so the new code serves a client that reconnects at once.
//
// If a generation fails to load, the new generation is stopped and the old generation keeps serving. If a watched file
// changes while a generation loads, the next generation replaces it. Under --dev, the standard error of a loading
// worker is kept (failure_page.go) and shown to browsers. USR2 starts a generation of the program that is now at the
// same path. When that has loaded, the supervisor replaces itself with execve(2) and continues with the inherited
// descriptors of sockets, channels and workers (upgrade.go). The process ID of the supervisor, which service managers
// know, stays the same.
//
// # Trust
//
// An attacker may control a worker through its application (trust.go). A worker sends its settings before it enters its
// sandbox and before any handler runs ("configured", "confined"). The supervisor ignores later settings. A table
// defines the effect of each message in each phase of a worker. Messages change only their sender, except for events,
// purges and counts of subscribers. A worker that sends a forged message or exceeds a bound is killed.
//
// # Health
//
// Once a second, the supervisor asks each serving worker whether it can serve requests (health.go). A slow answer
// proves nothing: the machine may be slow, an inline handler busy, or a debugger attached. A worker is killed and
// replaced if the descriptors of its event loop have changed (runtime.Server.Intact), or if all of its threads sleep
// while it reads none of its messages.
//
// # Channels across workers
//
// Workers send published events to the supervisor, which numbers them and sends them to all workers, including the
// publisher (relay.go). So all workers receive the same events in the same order. The supervisor neither stores nor
// parses events: the JSON of a message has the number of the first event and the number of events, and the events
// follow unchanged.
//
//   - Each worker has an outbox with a goroutine (outbox.go), so a worker that does not read delays no other. A worker
//     is killed if it sleeps for three seconds while 1 MiB of messages wait, or does not read for ten seconds
//     (health.go). Publishers are delayed while 4 MiB wait for a slow worker.
//   - A loading worker joins before it serves. From then on, its outbox receives all events. The supervisor connects it
//     with another worker, which sends its history of earlier events. There is no gap between history and events.
//   - When a worker retires, it sends each subscriber directly to its successor: a descriptor with the channels and the
//     number of the last event. Both workers use the same numbers, so either may be ahead. The new worker keeps all
//     events for a minute.
//   - Epoch and number are part of the Handover to the next program (USR2), for which the supervisor waits until the
//     outboxes are empty.
//   - Numbers of subscribers are exchanged at most four times a second. Each worker receives the sums of all other
//     workers.
//   - Broadcasts to WebSockets are events of channels without a history.
//   - With --channels, a Broker numbers the events of all servers (broker.go).
package pool
