// Package pool starts worker processes, which serve clients, and replaces workers that end or fail. The package owns
// the listening sockets, so workers can be replaced without disturbing clients.
//
// All decisions are made on the goroutine of Run. Signals, timers, messages and worker exits are passed to that
// goroutine as functions, which the goroutine calls. Start reading at Pool, state.go (the life of a worker), level.go
// (number of workers) and generation.go (workers that load together).
//
// # A generation
//
// A worker runs the same program as the supervisor, with the same arguments.
//
//   - If the supervisor knows the addresses, it opens the sockets before the first worker loads. All workers share one
//     socket for each address. The supervisor keeps the sockets open, so new connections wait in the queue of the
//     socket while workers load or die.
//   - While no worker serves, one worker gets the sockets before it has loaded (see share). This worker is the first
//     worker of the server, or replaces a worker that died. Until it has loaded, it answers only the requests that need
//     no application.
//   - A worker loads the application and sends its settings, including the settings from the script ("configured"). The
//     worker then enters its sandbox, requests the path of --reload-check from itself, and reports "loaded". The
//     message "listen" carries the sockets to the worker.
//   - "retire" makes the old workers stop accepting connections. Idle connections without TLS move from the old to the
//     new workers; idle TLS connections are closed. A busy connection is closed after the response to its next request,
//     or after five idle seconds.
//   - "depart" follows when all old workers have stopped accepting, or after a second. Only then are subscribers handed
//     over, and the grace of WebSockets begins, after which they are closed with code 1012. A client that reconnects at
//     once therefore reaches the new code.
//
// If a generation fails to load, the new generation is stopped and the old generation keeps serving. If a watched file
// changes while a generation loads, the next generation replaces the loading generation. Under --dev, the old generation
// retires first (Options.RetireFirst): the new workers serve before they load, as those with the role Asleep do, so
// requests wait for the new code. A worker whose code does not load shows the reason until the next change. The standard
// error of a loading worker is kept (failure_page.go) and shown to browsers. The signal USR2 starts a generation from
// the program file that is now at the same path. When the new generation has loaded, the supervisor replaces itself by
// calling execve(2). The new supervisor inherits the sockets, the channels and the workers (upgrade.go). The process ID
// of the supervisor stays the same, so that service managers notice no change.
//
// # Trust
//
// An attacker may control a worker through its application (trust.go). A worker sends its settings before it enters its
// sandbox and before any handler runs. The supervisor ignores settings that arrive later. A message affects only the
// worker that sent it, except for events, purges and subscriber counts.
//
// # Health
//
// Once a second, the supervisor asks each serving worker whether it can serve requests (health.go).
//
// # Channels across workers
//
// The supervisor neither stores nor parses events: the JSON object of a message contains only the number of the first
// event and how many events follow.
//
//   - Each worker has an outbox with its own goroutine (outbox.go), so a worker that does not read its messages delays
//     no other worker. If more than 1 MiB is queued, the worker is killed after it slept for three seconds, or after
//     ten seconds without reading (health.go). While more than 4 MiB are queued for a worker, publishers are delayed.
//   - A loading worker sends "join" before it serves. From then on, the worker receives all new events. The supervisor
//     connects the worker to another worker, which sends its history of earlier events. No event is missing between the
//     history and the new events.
//   - When a worker retires, it sends each subscriber directly to its successor: the descriptor, the channels, and the
//     number of the last event that the subscriber has received. Both workers use the same event numbers, so the
//     successor can send the events that the subscriber has missed. For this purpose the successor keeps all events for
//     a minute.
//   - During an upgrade (USR2), the supervisor waits until all outboxes are empty. Then it passes the epoch and the
//     last event number to the next program in the Handover.
//   - The numbers of subscribers are exchanged at most four times a second. Each worker receives, for each channel, the
//     sum over all other workers.
//   - A broadcast to WebSockets is an event on a channel that keeps no history.
//   - With --channels, a Broker numbers the events of all servers (broker.go).
package pool
