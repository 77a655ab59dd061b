/* How exchanges run on the asyncio thread: exchange.c, task.c, awaitable.c, waiter.c, inputs.c, asynchandler.c and
 * asyncstack.c. All of it is called on the asyncio thread, with the GIL, unless a comment says otherwise.
 *
 * An exchange is a coroutine that a Task runs. Its fapws_kind has the protocol: ASGI, an async handler, a WebSocket.
 * The record owns a reference to its exchange, and so does the list async.live until the coroutine has ended. An
 * exchange may outlive its record: rec is NULL from the last part on. */
#ifndef FAPWS_EXCHANGE_H
#define FAPWS_EXCHANGE_H

#include "async.h"
#include "kind.h"
#include "request.h"
#include "response.h"

/* Reasons to wait. */
enum { FAPWS_FOR_NOTHING, FAPWS_FOR_MESSAGE, FAPWS_FOR_ROOM, FAPWS_TO_SEND };

/* A coroutine that ends when its exchange has a message or room for more of the response, or at once (fapws_done). */
typedef struct fapws_waiter {
  PyObject_HEAD fapws_exchange *exchange; /* owned */
  PyObject *future;                       /* owned: the task waits for it; NULL: it does not wait */
  PyObject *message;                      /* owned: of FAPWS_TO_SEND, else NULL */
  struct fapws_waiter *next, *prev;       /* in exchange.waiters while there is a future */
  uint8_t what, ended;
  uint8_t woken; /* its future has a result */
} fapws_waiter;

/* States of a response (fapws_exchange.state). */
enum {
  FAPWS_WAITS,    /* for http.response.start */
  FAPWS_HEAD,     /* the head was received, and nothing was sent */
  FAPWS_BODY,     /* the head was sent */
  FAPWS_TRAILERS, /* the body is complete, http.response.trailers follows */
  FAPWS_DISCARD,  /* the event loop answers itself; further data of the application is dropped */
  FAPWS_COMPLETE, /* the Last part was published */
  FAPWS_ACCEPTED, /* the WebSocket is open */
};

/* Whether the response has trailers (fapws_exchange.trailers). */
enum { FAPWS_NO_TRAILERS, FAPWS_ANNOUNCED, FAPWS_COLLECTED /* in head */ };

struct fapws_exchange {
  PyObject_HEAD fapws_record *rec; /* NULL: the response is complete, and the record belongs to the event loop */
  const fapws_kind *kind;
  fapws_mount *mount;
  PyObject *task;                      /* owned, until the end */
  PyObject *inner;                     /* owned: awaited for the application */
  PyObject *iterator;                  /* owned: of an async handler, yields the body */
  fapws_waiter *waiters, *last_waiter; /* borrowed: the coroutines that await them own them */
  fapws_exchange *next, *prev;         /* in async.live */
  uint8_t state;
  uint8_t begun;            /* inner was made */
  uint8_t running;          /* its coroutine is on the stack */
  uint8_t gone;             /* the client disconnected */
  uint8_t hung;             /* the client has shut down its side: receive() reports a disconnect, send() works */
  uint8_t ended;            /* its coroutine has ended */
  uint8_t overdue;          /* it was cancelled because of a timeout */
  uint8_t waits;            /* of an async handler: inner is a fapws_waiter for room */
  uint8_t trailers;         /* FAPWS_NO_TRAILERS to FAPWS_COLLECTED */
  uint8_t received;         /* the whole body was received, or websocket.connect */
  uint16_t code;            /* close code of a WebSocket (RFC 6455 §7.4) */
  PyObject *reason;         /* owned: close reason, a str, or NULL */
  uint8_t words;            /* WebSocket closed by the client: number of messages that send() may still drop */
  uint8_t unheard;          /* its connection closed, too: messages sent since one was received */
  int64_t taken;            /* bytes of the body in memory, or in the file, that receive() returned */
  char line[160], addr[46]; /* beginning of the request line, and client address, once rec is NULL */
  uint8_t line_len, addr_len;
  uint32_t log;            /* number of its error log, once rec is NULL */
  fapws_start_object head; /* used without its Python object */
};

/* --- exchange.c --- */
extern PyTypeObject fapws_Exchange_Type;
int fapws_exchange_init(void);
extern PyObject *fapws_cancelled_error; /* asyncio.CancelledError */
/* fapws_kind.run of all coroutines: makes the exchange of rec and its task, and runs the task until it waits. */
void fapws_exchange_run(fapws_thread *t, fapws_record *rec);

/* --- task.c --- */
int fapws_task_init(void);
/* Makes the task of x and runs it until it waits. A new reference, or NULL; a step of the task may leave an exception
 * in both cases. */
PyObject *fapws_task_new(fapws_exchange *x);
/* Cancels its task. */
void fapws_exchange_cancel(fapws_exchange *x);

/* --- awaitable.c --- */
int fapws_awaitable_init(void);
/* Sends value into an iterator, as PyIter_Send does. */
PySendResult fapws_iter_send(PyObject *iterator, PyObject *value, PyObject **result);
/* Clears a StopIteration, or no exception, and stores its value: PYGEN_RETURN. PYGEN_ERROR with any other exception. */
PySendResult fapws_returned_value(PyObject **result);
/* An iterator for fapws_iter_send that drives an awaitable; NULL with TypeError. A new reference. */
PyObject *fapws_await(PyObject *awaitable);

/* --- waiter.c --- */
extern PyTypeObject fapws_Waiter_Type;
int fapws_waiter_init(void);
/* A coroutine that waits for something of x. */
PyObject *fapws_waiter_new(fapws_exchange *x, int what);
/* A coroutine that sends message, and then waits for room: send() on a thread that is not the asyncio thread. */
PyObject *fapws_send_when_awaited(fapws_exchange *x, PyObject *message);
/* A waiter that does not wait. Borrowed: all share it. */
extern PyObject *fapws_done;
/* The result of send() and tp_iternext for how: a return becomes StopIteration. Takes the reference. */
PyObject *fapws_send_result(PySendResult how, PyObject *result);
/* Wakes the waiters for that reason. */
void fapws_wake_waiters(fapws_exchange *x, int what);

/* --- inputs.c --- */
/* The next input, which the caller frees, or NULL; lets the client send as many bytes again. */
fapws_input *fapws_take_input(fapws_record *rec);

/* --- asyncstack.c --- */
/* The lines of the code that x awaits, as fapws_stack_snapshot has them. GIL, any thread. */
void fapws_await_chain(fapws_exchange *x, FILE *out);

#endif
