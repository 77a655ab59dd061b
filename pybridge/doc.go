// Package pybridge is the embedded CPython: it starts the interpreter, runs the user's script, and runs the handlers
// of its PATHS table on Python threads, inline on the event loop, or on an asyncio thread. It satisfies
// app.Interpreter by shape; it opens no socket and knows no connection. Package cmd/fapws/plan loads applications
// with it, and the worker gives its Handler to the server.
//
// Start reading at handler.go and shim.h, which are both sides of the boundary, and then at core_run.c.
//
// The C has four parts, whose names are the prefixes of their files and functions: core_ (the interpreter, threads,
// records and parts), wsgi_ (requests of synchronous handlers), asgi_ (the asyncio thread) and live_ (WebSockets with
// callbacks, channels, module _fapws). Each has one header, which begins with the owners of memory and says which
// thread may call a function. Calls go down only, from live_ to core_; tables and pointers of core.h lead up.
//
// Only .c files use Python objects, under the GIL; Go uses the flat structs of shim.h. Go calls C once
// for each batch of requests, and takes finished parts from a list in shared memory without a call. Numbers and
// offsets cross; a Go pointer never does. cpy3 does the work of the start, C that of each request: with one crossing
// for each object, environ took 7 to 15 µs, now 1 to 2 without the cache.
//
// # Modes and kinds
//
// Two tables of functions hold all differences between ways to run Python. A mode (core.h, mode.go) says where
// records run: on threads, inline on the loop, or on the asyncio thread. A kind (core.h, kind.go) says by which
// protocol a handler is called: WSGI, WebSocket callbacks, ASGI for HTTP, ASGI for WebSockets, or async def. A mount
// has one mode, and a kind for plain requests and one for requests for a WebSocket. tables_test.go allows no other
// place to ask for either.
//
// # Ownership
//
//	buffer                made by             touched by                freed by
//	record                Go (calloc)         Go until Submit's Flush,  kept in a free list
//	                                          then Python until Last
//	record.data, .fields  Go (realloc)        read-only after Flush     Release, if large
//	record.spool (fd)     the loop            Python, pread             Python (wsgi_drop)
//	part0.buf             Python (realloc)    Go from Next to Release   Release, if large
//	other parts, .buf     Python (malloc)     Go from Next to Release   Release (core_part_free)
//	part.owner (bytes)    the application     Go reads its memory       a Python thread, later
//	                                          until Release             (core_collect_garbage)
//	part.file (fd)        Python (dup)        Go from Next to Release   Release
//	Start_response.buf    Python              Python                    kept with a spare object
//
// A record belongs to the event loop again from the moment its last part is published: the Python side releases its
// objects (wsgi_drop) before that. Bodies below 16 KiB are copied, larger ones are sent from the bytes object
// itself. The loop may not take the GIL, so it gives the reference back through a stack (core_output.c); above 1 MiB of
// such garbage an idle thread is woken to free it.
//
// # Applications
//
// A script with PATHS runs as __main__; any other application is imported (contrib/fapws/_load.py) and is one mount
// with the prefix "". Several applications (Options.Apps) live in the one interpreter: all but the first are
// imported, each with its directory first on sys.path meanwhile and under its own name. Two of them that import
// different modules under one name would get the same one, so _load.py refuses that. Mounts are numbered through
// (exchange.Mount.Index); each has the environ and start_response of its application.
//
// # Threads and inline
//
// core_threads.c explains the drainer and its guesses, core_monitor.c corrects them, core_output.c wakes the event loop. The
// measurements behind them:
//
//   - A wake-up costs more than a quick handler, so one thread runs quick handlers in a row.
//   - Threads sleep on semaphores: a condition variable of glibc takes its mutex back as a contended one, and giving
//     that up costs a system call. The wake-up comes after the mutex is free.
//   - A thread state is attached once for each thread; making one for each request cost 12 to 17 µs.
//   - A thread that waits for its client in write(), or in send() of a WebSocket, does not count for --threads: another
//     one runs in its place. Otherwise as many clients that do not read as there are threads held up all others.
//   - Before close() of a result the loop is woken only where close() has been slow. All answers of frameworks have
//     one, so this was a wake-up for each request (Flask: 83 µs, without it 66).
//
// Inline, queued records run in turns of 250 µs to 2 ms (core_inline.c). A chunk of an iterator must not wait for the next
// one, and the thread that would send it is in the handler; a goroutine sends it meanwhile (app.Interpreter; 302 µs
// of CPU became 37 for ./build.sh bench generator). write() is in the middle of a handler, so it calls the loop,
// which sends finished parts and starts no handler (Waker.SendNow): the only call from C to Go. With its send(2) it
// costs 3 µs for each write().
//
// # environ
//
// environ is a copy of a template with interned keys (wsgi_environ.c). Sixteen slots (wsgi_cache.c) remember the last
// heads, because a client on a kept-alive connection sends the same fields again: a hit is a comparison and a copy, a
// third of the cost of building it. Values are immutable, so sharing them cannot be noticed. Heads of more than 2 KiB, with a
// chunked body or an absolute-form target are not remembered. In the same way wsgi_fields.c keeps the lines of header
// fields that are constants of the application.
//
// # Iterators
//
// Each chunk is published when it is made (PEP 3333). record.unacked counts the bytes that the loop has not released, and
// 256 more for each part; above 256 KiB the iterator is parked (core_flow.c), and its thread is free.
// When half of that is released, the iterator continues in the inbox of the same thread, because generators keep
// thread-locals. Where others wait, a quick iterator has 1 ms for a turn, a slow one a chunk.
//
// # WebSockets with callbacks
//
// live_websocket.c, core_flow.c, live_state.c and live_object.c. Delivered inputs go to a list of the record; a record with inputs
// is in the queue once, like a request, and the thread that takes it runs callbacks until the list is empty, or others
// have waited for a millisecond. So callbacks of a WebSocket are in order without a lock, and drainer and monitor treat
// them like handlers. Records that wait with messages do not count for --max-queue: they are as many as connections.
//
//   - send() makes a part on any thread that has the GIL, which also orders messages. Threads that wait in send() are
//     counted in the record (senders), which is kept until they have returned.
//   - The end has one place (end), whatever the cause: close() by a thread, a close frame, Cancel. It calls on_close,
//     detaches the object from its record, and publishes the last part. Cancel lets callbacks run for messages that
//     have arrived; a send() that fails then ends the WebSocket without a report.
//   - Credit is given back for an eighth of the window, so a paused client does not wait indefinitely.
//   - The loop does not know when a callback began. While such WebSockets exist and a timeout is set, a goroutine
//     (timeout.go) checks twice a second whether threads are still in the same job. Each callback counts as one, so
//     an exception for one cannot hit the next.
//   - environ['werkzeug.socket'] is for libraries that speak WebSocket themselves: a subclass of socket.socket that
//     notes its first use. The loop passes bytes between it and the connection (runtime/exchange/websocket.go).
//   - environ is dropped after the handshake, and made again from the record on demand: an idle WebSocket costs 9 KiB
//     with its connection (ASGI 10 to 14, uvicorn 26).
//   - Broadcasts and groups are messages to the event loop (messages.go; sockets.go of runtime/live). The
//     name of a group begins with a place that is the same in all processes. Where new code has something else in
//     that place, a broadcast is dropped.
//   - A hand-over to another process (live_handover.c) needs a plain ws.data, because pickling would run code of the
//     application, and leave classes of the old code in the new one. marshal alone would turn buffers into bytes, so
//     types are checked first.
//
// # asyncio
//
// One thread for each process, started only if a mount needs it (asgi_thread.c, contrib/fapws/_async.py; asgi.h has its
// parts). The loop puts records with events into a list, each at most once, and writes to an eventfd only if the
// thread sleeps. turn handles all of them in one call, and wakes the event loop at its end, and before that as a thread
// for synchronous handlers does (core_notify_after). So with 64 connections the event loop of asyncio turns once for
// many requests, and uvloop makes little difference. One wake-up for each request of FastAPI, which takes 150 µs, was a
// fifth to a quarter of its CPU time.
//
//   - Each request has a Task, with a copy of the context. It runs at once until it first waits: with eager_start
//     from Python 3.12 on, before by catching the call_soon of the Task. The Task runs a C object around the
//     coroutine of the application, which sees its end itself (a done-callback would cost a turn of the loop), and
//     shows cr_frame and cr_await, so asyncio's tools see the application.
//   - send() returns one shared object that has ended already, unless the client is more than 256 KiB behind.
//     receive() returns an object that takes a message when it is awaited, so one that is cancelled loses none
//     (asgi_waiter.c).
//   - An Input tells of a client that shuts down its sending side: it has probably disconnected, and ASGI wants to
//     know at once. The answer is still sent for two seconds.
//   - With lifespan auto, an application that raises before it has called receive, or in a way that shows that it
//     takes the lifespan for a request, has none; one that fails later has failed to start.
//   - On timeout the chain of awaited objects is logged, through tasks that wait for tasks, and the task is
//     cancelled; if it blocks the thread, fapws.Timeout is raised. If the thread does not return within five seconds,
//     its stack is logged and the process is replaced. The code that blocks it may belong to no active request, so a
//     request that has waited in vain for the thread checks whether it makes progress (checkAsync in
//     mode.go).
//   - SystemExit and KeyboardInterrupt, which asyncio lets through its event loop if a task of the application raises
//     them, and stop(), are logged, and the loop continues. Starlette's BaseHTTPMiddleware makes such tasks.
//   - The close frame of a WebSocket comes to the application in order, so send() works until it has received the
//     disconnect: OSError earlier would end an application that has messages left. asgi_websocket.c has the bounds. uvicorn
//     with websockets raises as soon as the frame has arrived, and Autobahn's case 7.1.1 gets no answer.
//
// Measured with wrk and 64 connections, on a machine with other work: an ASGI hello takes 5.6 to 7.7 µs of CPU where
// WSGI takes 4.6 to 5.7, and uvicorn with uvloop and httptools 16.5 to 17.6. Messages of 64 bytes on 64 WebSockets
// (./build.sh bench websocket callbacks), for each second of CPU: ASGI 165,000, callbacks 184,000, inline 200,000,
// uvicorn with uvloop and websockets 32,000 to 35,000, the websockets library by itself 35,000 to 38,000. 56,000
// exchanges of 35 kinds leave no block of memory (FAPWS_LEAK_ROUNDS).
//
// # Timeouts
//
// core_stack.c, timeout.go. The loop notices that an exchange is overdue; a goroutine takes the GIL, logs the stack, and
// raises fapws.Timeout in the thread if it still runs that exchange (thread.current changes under the GIL only).
// After five more seconds the thread counts as stuck: another one may start in its place, and the process is
// replaced. If the GIL cannot be had within a second, the stacks are written without it, as faulthandler does
// (core_stack.c). Inline the exception comes by a real-time signal (on_timeout_signal): Python calls signal handlers on its
// main thread also while it waits in Lock.acquire, sleep or recv, where PyThreadState_SetAsyncExc would have to wait
// for the call to return.
//
// # Messages to the server
//
// core.h. Purges, events, broadcasts and error lines wait in C, because a forked child has no Go to call. The
// event loop takes them before it takes finished parts, so a page that a handler has purged is gone when its client
// reads the answer.
//
//   - Events that a client publishes through two workers in turn may come in another order: of 300 up to three. Nothing
//     waits for the supervisor's numbers: that made 118 µs of the 19 of such a request.
//   - live_ipc.c passes messages between the Python code of workers, as broadcasts to a place that no WebSocket has. The
//     channel layer (contrib/channels.py) is a state machine in each worker on top of them: all changes arrive
//     everywhere in one order, so no process asks another. A message in a channel that any process may read is kept
//     by all until the first claim arrives.
//   - messages.go runs on_join and on_leave as requests without a client, up to 500 events in each, one request at a
//     time.
//
// # Error logs
//
// core_errorlog.c. Hosts may share an application, so the request decides: Request.ErrorLog is the number of the log, and
// 0 the server's. A line costs 6 µs, where sys.stderr takes 2; a traceback 0.5 ms instead of 0.3, because module
// traceback makes its text. Messages that concern all hosts, such as a thread that is stuck, are in the server's log.
// core_stdio.c has sys.stdout and sys.stderr, on which no write fails.
//
// # Children and crashes
//
// A child of os.fork() may run Python and exit (core_fork.c): Go's runtime does not live in it, so Go's signal handlers
// are removed, and when the handler returns, the child exits instead of serving. A socket that lives long has to be
// passed to KeepFromChildren, so that children close it.
//
// core_crash.c and core_gocrash.c have the last line of a process that crashes, also because the application has closed
// descriptors of the server. --fork is ServeForks and contrib/fapws/_fork.py, with package
// runtime/source/programs on the other side.
package pybridge
