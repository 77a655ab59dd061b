// Package pybridge embeds CPython: it starts the interpreter, runs the user's script, and runs the handlers in its
// PATHS on Python threads, inline on the event loop, or on an asyncio thread. Handler implements app.Interpreter
// without importing package app, opens no sockets, and does not use connections.
//
// Start reading at handler.go and shim.h, the two sides of the boundary between Go and C, and continue with core_run.c.
//
// The C code has four layers. The name of a layer is the prefix of its files and functions: core_ (the interpreter,
// threads, records, parts and heads of responses), wsgi_ (requests of synchronous handlers), asgi_ (the asyncio thread)
// and live_ (WebSockets with callbacks, channels, module _fapws). A header begins with the rules for the ownership of
// memory and for the threads that can call its functions, and has a section for each .c file, with the names in the
// file that are used in other files. A layer calls functions of lower layers only. The highest layer is live_, followed
// by asgi_, wsgi_ and core_. core_ calls the layers above it through tables and pointers in core_pool.h.
//
// Only .c files use Python objects, under the GIL; Go uses the flat structs of shim.h. Go calls C once for each batch
// of requests, and takes finished parts from a list in shared memory without a call. Structs contain numbers and
// offsets instead of Go pointers. Package cpy3 is used during loading only, because each of its calls for a Python
// object crosses the boundary between Go and C, which would be slow in requests.
//
// # Modes and kinds
//
// Two tables of functions contain all differences between the ways to run Python. A mode (core_pool.h, mode.go)
// determines where records run: on threads, inline on the event loop, or on the asyncio thread. A kind (core_pool.h,
// kind.go) determines the protocol of a handler: WSGI, WebSocket callbacks, ASGI for HTTP, ASGI for WebSockets, or
// async def. A mount has one mode, one kind for plain requests, and one kind for requests for a WebSocket.
// tables_test.go checks that modes and kinds are compared in these tables only.
//
// # Ownership
//
//	buffer                made by             touched by                freed by
//	record                Go (calloc)         Go until Submit's Flush,  kept in a free list
//	                                          then Python until Last
//	record.req: data...   Go (realloc)        read-only after Flush     Release, if large
//	record.req.body       the loop (mmap)     read-only             the loop, after Release
//	record.run.spool (fd) the loop            Python, pread             Python (wsgi_drop)
//	part0.buf             Python (realloc)    Go from Next to Release   Release, if large
//	other parts, .buf     Python (malloc)     Go from Next to Release   Release (core_part_free)
//	part.owner (bytes)    the application     Go reads its memory       a Python thread, later
//	                                          until Release             (core_collect_garbage)
//	part.file (fd)        Python (dup)        Go from Next to Release   Release
//	Start_response.buf    Python              Python                    kept with a spare object
//
// The event loop owns a record again after the last part is published, so the Python side must already have released
// the record's objects (wsgi_drop). Bodies of less than 16 KiB are copied, and larger bodies are sent from the bytes
// object. The event loop must not take the GIL, so it puts parts with bytes objects on a stack, from which a thread
// with the GIL frees them (core_output.c). If the objects on the stack exceed 1 MiB, an idle thread is woken to free
// them.
//
// # Applications
//
// A script with PATHS runs as __main__. Several applications (Options.Apps) share the interpreter. All applications
// except the first are imported under separate names, and the directory of an application is the first on sys.path
// during the import. If two applications import different modules of the same name, both would receive the module that
// was imported first, so contrib/fapws/_apart.py reports an error; core_imports.c calls it before imports of the names
// that the directories of the applications contain. Mounts are numbered across applications (exchange.Mount.Index), and
// each mount has the classes of environ and start_response that its application defines.
//
// # Threads and inline
//
// Two facts about speed explain the design:
//
//   - Waking a thread takes longer than a quick handler, so one thread runs quick handlers one after the other.
//   - All responses of frameworks have a close(). If the event loop were woken before each close(), each request would
//     wake the event loop. Therefore it is woken only if earlier calls of close() were slow.
//
// # environ
//
// environ is a copy of a template with interned keys (wsgi_environ.c), or of the cached environ of an earlier request
// with the same head. Heads of more than 2 KiB, and heads with a chunked body or an absolute-form target, are not
// cached.
//
// # Iterators
//
// Each chunk is published when it is made (PEP 3333). record.run.unacked counts the bytes that the event loop has not
// released, and 256 further bytes for each part. If the number exceeds 256 KiB, the iterator is parked (core_flow.c),
// and its thread is free. When 32 KiB are left, the iterator continues on the same thread, because
// generators can use thread-local data. If other records wait, a quick iterator yields its thread after 1 ms, and a
// slow iterator after each chunk.
//
// # WebSockets with callbacks
//
// Records with inputs are queued like requests, so the callbacks of a WebSocket run in order without a lock, and the
// drainer (core_threads.c) and the monitor (core_monitor.c) treat callbacks like handlers. Records with messages do not
// count for --max-queue. The limit on connections already limits the number of these records.
//
//   - send() makes a part on any thread that has the GIL, and the GIL also determines the order of messages. The record
//     counts the threads that wait in send() (senders), and is not reused before they have returned.
//   - The function end in live_websocket.c ends each WebSocket after one of three events: a thread has called close(),
//     a close frame has arrived, or Cancel was called. The function calls on_close, detaches the object from its
//     record, and publishes the last part. After Cancel, callbacks still run for messages that have arrived, and a
//     send() that fails ends the WebSocket without a report.
//   - The server lets the client send more after the application has taken an eighth of the client's window. Therefore
//     a client that has paused does not wait indefinitely.
//   - The event loop does not know when a callback began. While WebSockets with callbacks exist and a timeout is set, a
//     goroutine (timeout.go) checks twice a second whether threads are still in the same job. Each callback counts as a
//     job, so an exception that was prepared for one callback is never raised in the next callback.
//   - environ['werkzeug.socket'] is for libraries that implement WebSocket themselves. It is a subclass of
//     socket.socket that records its first use. The event loop passes bytes between this socket and the connection
//     (runtime/live/relay.go).
//   - environ is released after the handshake to save memory, and made again from the record if the application reads
//     it.
//   - Broadcasts, and changes of groups, are messages to the event loop (messages.go; sockets.go of runtime/live). The
//     name of a group begins with the place, a string that identifies a fapws.WebSocket in all processes. After a
//     reload, a broadcast is dropped if the new code has no WebSocket with that place.
//
// # asyncio
//
// A process has at most one asyncio thread, which is started if a mount needs it (asgi_thread.c,
// contrib/fapws/_async.py, asgi.h). Each call of the function turn handles all records with events, so one iteration of
// asyncio's event loop handles many requests, and uvloop makes little difference.
//
//   - Each request has a Task with a copy of the context. The Task runs at once until it first waits. The Task runs a C
//     object, which runs the coroutine of the application (asgi_task.c, asgi_exchange.c). The object has the cr_frame
//     and the cr_await of the coroutine, so asyncio's tools show the application.
//   - If a client shuts down its sending side, it has probably disconnected, which ASGI applications expect to learn at
//     once. Therefore an Input reports the shutdown. The response is still sent for two seconds.
//   - With lifespan auto, an application that raises an exception before it has called receive, or that handles the
//     lifespan as a request, does not support lifespans. An application that fails later during its startup has failed
//     to start.
//   - If a request times out, the chain of objects that its task awaits is logged, and the task is cancelled. If the
//     task blocks the thread, fapws.Timeout is raised. If the task still blocks the thread after five seconds, its
//     stack is logged and the process is replaced. It is possible that the blocking code belongs to no active request.
//     Therefore, if a request has waited too long for the thread, checkAsync in timeout.go checks whether the thread
//     makes progress.
//   - asyncio passes SystemExit and KeyboardInterrupt of a task through its event loop. These exceptions, and calls of
//     loop.stop() by the application, are logged, and asyncio's event loop continues. Starlette's BaseHTTPMiddleware
//     creates tasks in which this can occur.
//
// # Timeouts
//
// When the event loop notices that an exchange is overdue, a goroutine takes the GIL, logs the stack, and raises
// fapws.Timeout in the thread if the thread still runs that exchange (thread.current changes under the GIL only). After
// five further seconds the thread counts as stuck: a second thread can start in its place, and the process is replaced.
// If the goroutine cannot take the GIL within a second, it writes the stacks without the GIL, as faulthandler does
// (core_stack.c). In inline mode a real-time signal raises the exception (on_timeout_signal in core_stack.c).
//
// # Messages to the server
//
// Purges, events, broadcasts and lines for error logs wait in a buffer that C code fills without calling Go
// (core_messages.c), because Go does not run in a forked child.
//
//   - If a client publishes two events through different workers, subscribers can receive them in the opposite order,
//     because handlers do not wait until the supervisor has numbered an event.
//   - live_ipc.c passes messages between the Python code of workers, as broadcasts with the place CORE_PLACE_PYTHON.
//     The channel layer (contrib/channels.py) has a state machine in each worker: all workers receive all changes in
//     the same order, so they have the same state without requests to each other. If any process can read a channel,
//     all workers keep a message of the channel until the first process has claimed it.
//   - messages.go runs on_join and on_leave as requests without a client, one request at a time, each with up to 500
//     events.
//
// # Error logs
//
// Hosts can share an application, so each request has the number of its error log (Request.ErrorLog); 0 means the
// server's log. Messages that concern all hosts, such as a stuck thread, are written to the server's log.
//
// core_error.c writes lines in the formats of package logfile. core_object.c writes objects of JSON, also for crashes.
// core_stdio.c writes an object as a whole, even to a pipe that several processes share.
//
// # Children and crashes
//
// A child of os.fork() can run Python and exit (core_fork.c). Go's runtime does not work in the child, so Go's signal
// handlers are removed, and the child exits when the handler returns. A socket that the server never closes must be
// passed to KeepFromChildren, so that children close the socket.
//
// core_crash.c and core_gocrash.c write the last line of a process that crashes, for example because the application
// has closed descriptors of the server.
package pybridge
