// Package pybridge is the embedded CPython: it starts the interpreter, runs
// the user's script, and runs the handlers of its PATHS table on Python
// threads or inline on the loop. It satisfies runtime.Handler by shape and
// opens no socket.
//
// Only .c files use Python objects, under the GIL; Go uses the flat structs of record.h and part.h. Go calls C once per batch of
// requests, and takes finished parts from a list in shared memory without a call.
//
// # Modes and kinds
//
// Two tables of functions hold all differences between ways to run Python. A
// mode (mode.h, mode.go) says where records run: on threads, inline on the
// loop, or on the asyncio thread. A kind (kind.h, kind.go) says by which
// protocol a handler is called: WSGI, WebSocket callbacks, ASGI for HTTP, ASGI
// for WebSockets, or async def. A mount has one mode, and a kind for plain
// requests and one for requests for a WebSocket.
//
// # Who owns what
//
//	buffer                made by             touched by                freed by
//	record                Go (calloc)         Go until Submit's Flush,  kept in a free list
//	                                          then Python until Last
//	record.data, .fields  Go (realloc)        read-only after Flush     recycle, if large
//	record.spool (fd)     the loop            Python, pread             Python (fapws_drop)
//	part0.buf             Python (realloc)    Go from Next to Release   recycle, if large
//	other parts, .buf     Python (malloc)     Go from Next to Release   Release (fapws_part_free)
//	part.owner (bytes)    the application     Go reads its memory       a Python thread, later
//	                                          until Release             (fapws_collect_garbage)
//	part.file (fd)        Python (dup)        Go from Next to Release   Release
//	Start_response.buf    Python              Python                    kept with a spare object
//
// A record belongs to the event loop again from the moment its last part is published: the Python side releases its objects
// (fapws_drop) before that.
package pybridge
