// Package pybridge embeds CPython: it starts the interpreter, runs the user's script, and runs the handlers of its
// PATHS table on Python threads, inline on the event loop, or on an asyncio thread. Package pybridge implements
// app.Interpreter without importing it, opens no sockets, and does not know connections. Package cmd/fapws/plan loads
// applications with it, and the worker passes its Handler to the server.
//
// Start reading at handler.go and shim.h, the two sides of the boundary, and continue with core_run.c.
//
// The C has four parts, whose names are the prefixes of their files and functions: core_ (the interpreter, threads,
// records and parts), wsgi_ (requests of synchronous handlers), asgi_ (the asyncio thread) and live_ (WebSockets with
// callbacks, channels, module _fapws). Each part has one header, but core_ has three. The headers begin with the
// ownership of memory and the threads that may call their functions, and have a section for each .c file, which lists
// the names in this file that other files use. Calls go down only, from live_ to core_; core_ calls the other parts
// through tables and pointers in core_pool.h.
//
// Only .c files use Python objects, under the GIL; Go uses the flat structs of shim.h. Go calls C once for each batch
// of requests, and takes finished parts from a list in shared memory without a call. Structs contain numbers and
// offsets instead of Go pointers. cpy3 is used for the start only: a request must not cross the boundary for each of
// its Python objects.
//
// # Modes and kinds
//
// Two tables of functions contain all differences between ways to run Python. A mode (core_pool.h, mode.go) determines
// where records run: on threads, inline on the loop, or on the asyncio thread. A kind (core_pool.h, kind.go) determines
// the protocol of a handler: WSGI, WebSocket callbacks, ASGI for HTTP, ASGI for WebSockets, or async def. A mount has
// one mode, and two kinds, for plain requests and for requests for a WebSocket. tables_test.go checks that no other
// code compares modes or kinds.
//
// # Ownership
//
//	buffer                made by             touched by                freed by
//	record                Go (calloc)         Go until Submit's Flush,  kept in a free list
//	                                          then Python until Last
//	record.req: data...   Go (realloc)        read-only after Flush     Release, if large
//	record.run.spool (fd) the loop            Python, pread             Python (wsgi_drop)
//	part0.buf             Python (realloc)    Go from Next to Release   Release, if large
//	other parts, .buf     Python (malloc)     Go from Next to Release   Release (core_part_free)
//	part.owner (bytes)    the application     Go reads its memory       a Python thread, later
//	                                          until Release             (core_collect_garbage)
//	part.file (fd)        Python (dup)        Go from Next to Release   Release
//	Start_response.buf    Python              Python                    kept with a spare object
//
// A record belongs to the event loop again after its last part is published, so the Python side releases the record's
// objects before (wsgi_drop). Bodies below 16 KiB are copied, larger bodies are sent from the bytes object. The loop
// must not take the GIL, so it returns the reference through a stack (core_output.c). Above 1 MiB of such objects an
// idle thread is woken to free them.
//
// # Applications
//
// A script with PATHS runs as __main__. Any other application is imported (contrib/fapws/_load.py) and is one mount
// with the prefix "". Several applications (Options.Apps) share the interpreter: all but the first are imported under
// separate names, with their directory first on sys.path during the import. If two applications import different
// modules of the same name, both would get the first module, so _load.py reports an error. Mounts are numbered across
// applications (exchange.Mount.Index); each mount has the environ and start_response of its application.
//
// # Threads and inline
//
// core_threads.c explains the drainer and how handlers are classified, core_monitor.c corrects wrong guesses, and
// core_output.c wakes the event loop. The reasons for this design:
//
//   - A wake-up takes longer than a quick handler, so one thread runs quick handlers one after the other.
//   - Threads sleep on semaphores, because a condition variable of glibc takes its mutex as a contended mutex, whose
//     release costs a system call. A thread is woken after the mutex is released.
//   - A thread state is attached once for each thread, not for each request.
//   - A thread that waits for its client in write(), or in send() of a WebSocket, does not count for --threads, and
//     another thread runs in its place. Otherwise a few slow clients could occupy all threads.
//   - The loop is woken before close() of a result only if close() has been slow. All responses of frameworks have a
//     close(), so each request would wake the loop.
//
// # environ
//
// environ is a copy of a template with interned keys (wsgi_environ.c). Heads of more than 2 KiB, and heads with a
// chunked body or an absolute-form target, are not cached.
//
// # Iterators
//
// Each chunk is published when it is made (PEP 3333). record.run.unacked counts the bytes that the loop has not
// released, and 256 more for each part. Above 256 KiB the iterator is parked (core_flow.c), and its thread is free.
// After half of the bytes are released, the iterator continues in the inbox of the same thread, because generators may
// use thread-local data. If other records wait, a quick iterator yields its thread after 1 ms, a slow iterator after
// each chunk.
//
// # WebSockets with callbacks
//
// The files are live_websocket.c, core_flow.c, live_state.c and live_object.c. Delivered inputs are added to a list of
// the record. A record with inputs is in the queue once, like a request. The thread that takes it runs callbacks until
// the list is empty, or other records have waited for a millisecond. Therefore callbacks of a WebSocket run in order
// without a lock, and drainer and monitor handle them like handlers. Queued messages do not count for --max-queue,
// because their records are at most as many as connections.
//
//   - send() makes a part on any thread that has the GIL, which also determines the order of messages. Threads that
//     wait in send() are counted in the record (senders), which is kept until they have returned.
//   - Each WebSocket ends in the function end, after close() by a thread, a close frame, or Cancel. The function end
//     calls on_close, detaches the object from its record, and publishes the last part. After Cancel, callbacks still
//     run for messages that have arrived; a send() that fails then ends the WebSocket without a report.
//   - Credit is returned in units of an eighth of the window, so a paused client does not wait indefinitely.
//   - The loop does not know when a callback began. While such WebSockets exist and a timeout is set, a goroutine
//     (timeout.go) checks twice a second whether threads are still in the same job. Each callback counts as one job, so
//     an exception for one callback cannot hit the next callback.
//   - environ['werkzeug.socket'] is for libraries that implement WebSocket themselves: a subclass of socket.socket that
//     records its first use. The loop passes bytes between it and the connection (runtime/tunnel/relay.go).
//   - environ is released after the handshake to save memory, and made again from the record on demand.
//   - Broadcasts and groups are messages to the event loop (messages.go; sockets.go of runtime/live). The name of a
//     group begins with a place that is the same in all processes. A broadcast is dropped if new code has a different
//     WebSocket in that place.
//   - A WebSocket is handed over to another process (live_handover.c) only if ws.data is plain, because pickling would
//     run code of the application, and keep classes of the old code in the new process. Types are checked before
//     marshal, which would turn buffers into bytes.
//
// # asyncio
//
// A process has at most one asyncio thread, which is started if a mount needs it (asgi_thread.c,
// contrib/fapws/_async.py, asgi.h). The loop puts each record with events into a list once, and writes to an eventfd
// only if the thread sleeps. turn handles the whole list in one call. The function turn wakes the event loop at its
// end, and earlier under the conditions of core_notify_after, as threads for synchronous handlers do. So asyncio's
// event loop turns once for many requests, and uvloop makes little difference.
//
//   - Each request has a Task with a copy of the context. The Task runs at once until it first waits: with eager_start
//     from Python 3.12 on, with older Pythons by intercepting the call_soon of the Task. The Task runs a C object
//     around the coroutine of the application. The object notices the coroutine's end itself, without a done-callback,
//     which would need a turn of the loop. The attributes cr_frame and cr_await of the coroutine show the application
//     to asyncio's tools.
//   - send() returns a shared object that is already done, unless the client is more than 256 KiB behind. receive()
//     returns an object that takes a message when it is awaited, so a cancelled receive() loses no message
//     (asgi_waiter.c).
//   - An Input reports a client that shuts down its sending side, because it has probably disconnected, and ASGI
//     applications expect to learn it at once. The response is still sent for two seconds.
//   - With lifespan auto, an application has no lifespan if it raises before it has called receive, or if it takes the
//     lifespan for a request. An application that fails later has failed to start.
//   - On timeout the chain of awaited objects is logged, through tasks that wait for tasks, and the task is cancelled.
//     If the task blocks the thread, fapws.Timeout is raised. If the thread does not return within five seconds, its
//     stack is logged and the process is replaced. The blocking code may belong to no active request, so a request that
//     has waited too long for the thread checks whether the thread makes progress (checkAsync in mode.go).
//   - asyncio passes SystemExit and KeyboardInterrupt of a task through its event loop. These exceptions are logged,
//     like stop(), and the loop continues. Starlette's BaseHTTPMiddleware makes such tasks.
//   - The application receives the close frame of a WebSocket in order, so send() works until the application has
//     received the disconnect. An earlier OSError would end an application that still has messages to receive.
//     asgi_websocket.c has the limits.
//
// # Timeouts
//
// The files are core_stack.c and timeout.go. The loop notices that an exchange is overdue. A goroutine takes the GIL,
// logs the stack, and raises fapws.Timeout in the thread if the thread still runs that exchange (thread.current changes
// under the GIL only). After five more seconds the thread counts as stuck: another thread may start in its place, and
// the process is replaced. If the goroutine cannot take the GIL within a second, it writes the stacks without the GIL,
// as faulthandler does (core_stack.c). In inline mode a real-time signal raises the exception (on_timeout_signal):
// Python calls signal handlers on its main thread even during Lock.acquire, sleep or recv, where
// PyThreadState_SetAsyncExc would wait for the end of the call.
//
// # Messages to the server
//
// Purges, events, broadcasts and error lines wait in C (core.h), because Go does not run in a forked child. The event
// loop takes them before it takes finished parts, so a page that a handler has purged leaves the cache before the
// handler's client receives the response.
//
//   - Events that a client publishes through two workers in turn may arrive in a different order, because handlers do
//     not wait for the supervisor to number events.
//   - live_ipc.c passes messages between the Python code of workers, as broadcasts to a place that no WebSocket has.
//     The channel layer (contrib/channels.py) uses them for a state machine in each worker: all workers receive all
//     changes in the same order, so they need not query each other. All workers keep a message in a channel that any
//     process may read, until the first claim arrives.
//   - messages.go runs on_join and on_leave as requests without a client, up to 500 events in each request, one request
//     at a time.
//
// # Error logs
//
// core_errorlog.c writes to the error logs of hosts. Hosts may share an application, so each request has the number of
// its log (Request.ErrorLog); 0 is the server's log. Messages that concern all hosts, such as a stuck thread, are in
// the server's log. core_stdio.c has sys.stdout and sys.stderr, on which writes never fail.
//
// # Children and crashes
//
// A child of os.fork() may run Python and exit (core_fork.c). Go's runtime does not work in the child, so Go's signal
// handlers are removed, and the child exits when the handler returns. A socket that the server never closes must be
// passed to KeepFromChildren, so that children close it.
//
// core_crash.c and core_gocrash.c write the last line of a process that crashes, for example because the application
// has closed descriptors of the server. ServeForks and contrib/fapws/_fork.py implement --fork together with package
// runtime/source/programs.
package pybridge
