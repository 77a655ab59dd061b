/* The protocols by which handlers are called: WSGI (all plain functions of PATHS, run.c), callbacks of a fapws.WebSocket
 * (websocket.c), and on the asyncio thread ASGI for HTTP (asgi.c), ASGI for WebSockets (asgiws.c) and async functions
 * (asynchandler.c).
 *
 * The tables are constant. A mount owns the choice: fapws_mount.kinds has the one for plain requests and the one for
 * requests for a WebSocket (kind.c). Other files call these functions and do not ask which kind it is. */
#ifndef FAPWS_KIND_H
#define FAPWS_KIND_H

#include "pool.h"

typedef struct fapws_exchange fapws_exchange;

/* All of it is called with the GIL, on the thread that runs the record. */
typedef struct fapws_kind {
  /* Answers rec, a request that has just begun on t, or begins to: it may go on in another turn. */
  void (*run)(fapws_thread *t, fapws_record *rec);
  /* Goes on with rec, which has inputs. NULL: fapws_mode.deliver does not put such records into the queue. */
  void (*run_inputs)(fapws_thread *t, fapws_record *rec);

  /* --- coroutines, whose run is fapws_exchange_run: on the asyncio thread, by exchange.c and waiter.c. A function may
   * find that exchange->rec has become NULL after it has published the Last part. */

  /* Makes the coroutine, or other awaitable, that the task runs; or NULL with an
   * exception, or NULL without one: the exchange has ended. */
  PyObject *(*begin)(fapws_exchange *x);
  /* The next message of receive(): 1 with *message, 0 there is none yet, -1 exception. */
  int (*receive)(fapws_exchange *x, PyObject **message);
  /* send(message): what it returns, awaitable; NULL with an exception. */
  PyObject *(*send)(fapws_exchange *x, PyObject *message);
  /* The awaitable has returned result. Returns the next one to run, or NULL: as begin. */
  PyObject *(*returned)(fapws_exchange *x, PyObject *result);
  /* It has raised; the exception is set and has to be cleared, and the exchange ended. */
  void (*raised)(fapws_exchange *x);
  /* The client has left: called once, before waiters are woken. */
  void (*gone)(fapws_exchange *x);
  /* The client has left while the awaitable waited for room. 0: it goes on; -1 with the exception that it raises. */
  int (*room_is_gone)(fapws_exchange *x);
} fapws_kind;

extern const fapws_kind fapws_wsgi, fapws_websocket_callbacks, fapws_asgi_http, fapws_asgi_websocket, fapws_async_handler;

/* The kind of rec. */
static inline const fapws_kind *fapws_kind_of(const fapws_record *rec) {
  return fapws_the_pool.mounts[rec->mount].kinds[rec->websocket != 0];
}
/* Gives m its kinds and its mode. protocol: FAPWS_WSGI and so on. */
void fapws_mount_bind(fapws_mount *m, int protocol);

#endif
