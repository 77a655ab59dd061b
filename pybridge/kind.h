/* The protocols by which handlers are called: WSGI (all plain functions of PATHS, run.c), callbacks of a
 * fapws.WebSocket (websocket.c), and on the asyncio thread ASGI for HTTP (asgihttp.c), ASGI for WebSockets (asgiws.c)
 * and async functions (asynchandler.c).
 *
 * The tables are constant. A mount owns the choice: fapws_mount.kinds has the one for plain requests and the one for
 * requests for a WebSocket (kind.c). Other files call these functions and do not ask which kind it is. */
#ifndef FAPWS_KIND_H
#define FAPWS_KIND_H

#include "pool.h"

typedef struct fapws_exchange fapws_exchange;

/* All of it is called with the GIL, on the thread that runs the record. */
typedef struct fapws_kind {
  /* Answers rec, a request that has just begun on t. The response may continue in other turns. */
  void (*run)(fapws_thread *t, fapws_record *rec);
  /* Handles the inputs of rec. NULL: fapws_mode.deliver does not queue such records. */
  void (*run_inputs)(fapws_thread *t, fapws_record *rec);

  /* --- coroutines, whose run is fapws_exchange_run: on the asyncio thread, by exchange.c and waiter.c. A function may
   * find that exchange->rec has become NULL after it has published the Last part. */

  /* Makes the awaitable that the task runs. NULL with an exception, or, if the exchange has ended, without. */
  PyObject *(*begin)(fapws_exchange *x);
  /* The next message of receive(): 1 with *message, 0 if it has to wait, -1 with an exception. */
  int (*receive)(fapws_exchange *x, PyObject **message);
  /* send(message): returns an awaitable, or NULL with an exception. */
  PyObject *(*send)(fapws_exchange *x, PyObject *message);
  /* Called with the result of the awaitable. Returns the next awaitable, or NULL, as begin. */
  PyObject *(*returned)(fapws_exchange *x, PyObject *result);
  /* Called with the exception of the awaitable set. Clears it, and ends the exchange. */
  void (*raised)(fapws_exchange *x);
  /* Called once when the client disconnects, before waiters are woken. */
  void (*gone)(fapws_exchange *x);
  /* The client disconnected while the awaitable waited for room. 0: it continues; -1: with its exception. */
  int (*room_is_gone)(fapws_exchange *x);
} fapws_kind;

extern const fapws_kind fapws_wsgi, fapws_websocket_callbacks, fapws_async_handler;
extern const fapws_kind fapws_asgi_http, fapws_asgi_websocket;

/* The kind of rec. */
static inline const fapws_kind *fapws_kind_of(const fapws_record *rec) {
  return fapws_the_pool.mounts[rec->mount].kinds[rec->websocket != 0];
}
/* Sets the kinds and the mode of m. protocol: FAPWS_WSGI, ... */
void fapws_mount_bind(fapws_mount *m, int protocol);

#endif
