/* The asyncio thread: how exchanges run there. Private to the C files of pybridge;
 * all of it needs the GIL, and is called on the asyncio thread, unless said.
 *
 * An exchange is a coroutine that a Task runs. What it is to do with the client's
 * request (ASGI, an async handler, a WebSocket) is its fapws_kind; the rest is in
 * exchange.c (the coroutine) and waiter.c (what receive() and send() return). */
#ifndef FAPWS_ASYNC_H
#define FAPWS_ASYNC_H

#include "bridge.h"

#if PY_VERSION_HEX < 0x030a0000
typedef enum { PYGEN_RETURN = 0, PYGEN_ERROR = -1, PYGEN_NEXT = 1 } PySendResult;
#define FAPWS_AM_SEND(f)
#else
#define FAPWS_AM_SEND(f) .am_send = (f),
#endif

typedef struct fapws_exchange fapws_exchange;

/* What an awaitable waits for. */
enum { FAPWS_FOR_MESSAGE, FAPWS_FOR_ROOM };

/* A coroutine that ends when an exchange has a message, or room for more of the response. */
typedef struct fapws_waiter {
  PyObject_HEAD
  fapws_exchange *exchange;          /* owned */
  PyObject *future;                  /* owned: what the task waits on, NULL while it does not */
  struct fapws_waiter *next, *prev;  /* in exchange.waiters while there is a future */
  uint8_t what, ended;
} fapws_waiter;

/* What differs between kinds of exchanges. A function may find that exchange->rec
 * has become NULL after it has published the Last part. */
typedef struct {
  const char *name; /* of scope['type'], for messages */
  /* Makes what the task shall run, a coroutine or other awaitable; or NULL with an
   * exception, or NULL without one: the exchange has ended. */
  PyObject *(*begin)(fapws_exchange *x);
  /* The next message of receive(): 1 with *message, 0 there is none yet, -1 exception. */
  int (*receive)(fapws_exchange *x, PyObject **message);
  /* send(message): what it returns, awaitable; NULL with an exception. */
  PyObject *(*send)(fapws_exchange *x, PyObject *message);
  /* What the task ran has returned result. Returns what shall run next, or NULL: as begin. */
  PyObject *(*returned)(fapws_exchange *x, PyObject *result);
  /* It has raised; the exception is set and has to be cleared, and the exchange ended. */
  void (*raised)(fapws_exchange *x);
  /* The client has left: called once, before waiters are woken. */
  void (*gone)(fapws_exchange *x);
} fapws_kind;

/* Where a response is (fapws_exchange.state). */
enum {
  FAPWS_WAITS,     /* for http.response.start */
  FAPWS_HEAD,      /* it has come, and nothing was sent */
  FAPWS_BODY,      /* the head was sent */
  FAPWS_DISCARD,   /* the loop answers by itself; what else the application sends is dropped */
  FAPWS_COMPLETE,  /* the Last part was published */
  FAPWS_ACCEPTED,  /* it is an open WebSocket */
};

struct fapws_exchange {
  PyObject_HEAD
  fapws_record *rec;       /* NULL: the response is complete, and the record the loop's again */
  const fapws_kind *kind;
  fapws_mount *mount;
  PyObject *task;          /* owned, until the end */
  PyObject *inner;         /* owned: what is being awaited for the application */
  PyObject *iterator;      /* owned: of an async handler, what gives the body */
  fapws_waiter *waiters, *last_waiter; /* not owned: they are, by who awaits them */
  fapws_exchange *next, *prev; /* of all that live, each owned by the list */
  uint8_t state;
  uint8_t begun;           /* inner was made */
  uint8_t running;         /* its coroutine is on the stack */
  uint8_t gone;            /* the client has left */
  uint8_t hung;            /* the client has shut down its side: as gone for receive(), not for send() */
  uint8_t ended;           /* its coroutine has ended */
  uint8_t overdue;         /* it was cancelled because its time was up */
  uint8_t waits;           /* inner is a fapws_waiter for room, of an async handler */
  uint8_t received;        /* the whole body was received; of a WebSocket, its handshake */
  uint16_t code;           /* of a WebSocket that is over (RFC 6455 §7.4) */
  PyObject *reason;        /* owned: likewise, a str; NULL: none */
  uint8_t words;           /* of a WebSocket that the client has closed: what may still be sent to nobody */
  uint8_t unheard;         /* likewise, whose connection has gone, too: what was sent since something was received */
  int64_t taken;           /* bytes of the body in memory, or in the file, that were received */
  char line[160], addr[46]; /* beginning of the request, and address of the client, when rec is NULL */
  uint8_t line_len, addr_len;
  uint32_t log;            /* likewise: number of its error log */
  fapws_start_object head; /* only its fields: no Python object */
};

/* --- async.c --- */
typedef struct {
  PyObject *loop;       /* owned: asyncio's */
  fapws_thread thread;  /* what stands for the asyncio thread */
  int depth;            /* who is on the stack will tell the loop of what was published */
  fapws_exchange *live; /* those that have not ended */
  int event;            /* eventfd that wakes the thread; 0: there is none */
  int asleep;           /* atomic: nobody looks at the list before event is written */
  unsigned long turns;  /* atomic: of turn() */
  unsigned long left_at; /* fapws_async_progress() when the thread was given up, and one more; 0: never. Guarded by the pool's mutex */
  int asked;            /* atomic: fapws_async_stop was called with as many ms, and one more; 0: not, or it is known */
  int stopping;         /* it was, and the thread knows */
  fapws_record *head, *tail; /* records with events; guarded by the pool's mutex */
} fapws_async;
extern fapws_async fapws_the_async;

/* The lines of the code that x awaits, as fapws_sighting has them. GIL, any thread. */
void fapws_await_chain(fapws_exchange *x, FILE *out);

/* Adds events to rec and puts it into the list. The pool's mutex is held. Any thread. */
void fapws_happen(fapws_record *rec, unsigned events);
/* Tells the loop of what was published, unless somebody on the stack will. */
void fapws_async_notify(void);

/* --- exchange.c --- */
extern PyTypeObject fapws_Exchange_Type;
int fapws_exchange_init(void); /* -1 with exception */
extern PyObject *fapws_cancelled_error; /* asyncio.CancelledError */
/* Starts rec: makes its exchange and the task, which runs until it waits. */
void fapws_exchange_start(fapws_record *rec);
/* Sends value into an iterator, as PyIter_Send does. */
PySendResult fapws_iter_send(PyObject *iterator, PyObject *value, PyObject **result);
/* What can be driven by fapws_iter_send for an awaitable; NULL with TypeError. A new reference. */
PyObject *fapws_await(PyObject *awaitable);
/* Cancels its task. */
void fapws_exchange_cancel(fapws_exchange *x);

/* --- waiter.c --- */
extern PyTypeObject fapws_Waiter_Type, fapws_Done_Type;
int fapws_waiter_init(void); /* -1 with exception */
/* A coroutine that waits for something of x. */
PyObject *fapws_waiter_new(fapws_exchange *x, int what);
/* One that has ended already. Borrowed: it is shared. */
extern PyObject *fapws_done;
/* Wakes who waits for it. */
void fapws_wake_waiters(fapws_exchange *x, int what);

/* --- asgi.c --- */
extern const fapws_kind fapws_asgi_http;
/* Calls the application; takes over scope, which may be NULL. Returns as begin. */
PyObject *fapws_asgi_call(fapws_exchange *x, PyObject *scope);
/* http.response.start and http.response.body. -1 with an exception. */
int fapws_asgi_start(fapws_exchange *x, PyObject *message);
int fapws_asgi_body(fapws_exchange *x, PyObject *message);
/* Publishes p of x, whose body, if it is not in owner's memory, is in its buf. */
void fapws_exchange_publish(fapws_exchange *x, fapws_part *p);
/* Reports the exception of an application, and ends the exchange with 500 or by breaking it off. */
void fapws_asgi_raised(fapws_exchange *x);

/* --- asgiws.c --- */
extern const fapws_kind fapws_asgi_websocket;
/* Whether send() shall say that the client has left. */
int fapws_has_left(fapws_exchange *x);

/* --- handler.c --- */
extern const fapws_kind fapws_async_handler;

/* --- scope.c --- */
int fapws_scope_init(void); /* -1 with exception */
/* The scope of rec (ASGI 3, "Connection Scope"): a new dict. */
PyObject *fapws_scope(fapws_record *rec);

/* --- inputs.c --- */
/* The next input, which is freed by the caller, or NULL; credit is given back for it. */
fapws_input *fapws_take_input(fapws_record *rec);

#endif
