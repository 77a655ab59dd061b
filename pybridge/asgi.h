/* The layer asgi_ of the C code: the asyncio thread, the exchanges that run as coroutines on that thread, and ASGI 3
 * (https://asgi.readthedocs.io/en/stable/specs/main.html).
 *
 * All functions must be called on the asyncio thread, with the GIL, unless the comment of the function says
 * otherwise. */
#pragma once

#include "wsgi.h"

/* =============================================================================
 * The asyncio thread and its list of records with events: asgi_thread.c.
 *
 * The pool's mutex guards the list and the events of the records in the list. Only the asyncio thread uses the
 * remaining members of asgi_thread, with the GIL, unless a member is marked atomic. */

enum {
  ASGI_EVENT_RUN = 1,
  ASGI_EVENT_NEXT = 2,
  ASGI_EVENT_INPUT = 4,
  ASGI_EVENT_ROOM = 8, /* the client has received enough of the response, so send() can continue */
  ASGI_EVENT_GONE = 16,
  ASGI_EVENT_OVERDUE = 32,
  ASGI_EVENT_ENDS = 64, /* the server stops, and has ended this response, which is an event stream */
};

typedef struct {
  PyObject *loop; /* owned: the event loop object of asyncio */
  core_thread thread;
  /* Nonzero if a function that is running further up the stack will wake the server's event loop. asgi_thread_notify
   * then does nothing. */
  int depth;
  struct asgi_exchange *live; /* owned: exchanges whose coroutines have not ended */
  int event;                  /* eventfd that wakes the thread; 0 if the thread does not exist */
  int asleep;                 /* atomic: the thread sleeps, and checks the list only after a write to the eventfd */
  unsigned long turns;        /* atomic: number of calls of turn() */
  /* The value of asgi_progress() + 1 when the server abandoned the thread (asgi_give_up), or 0 if the server has
   * not abandoned the thread. Guarded by the pool's mutex. */
  unsigned long left_at;
  /* Atomic: 0, or a request to stop. asgi_thread_stop stores its parameter ms plus one, and the asyncio thread sets the
   * member to 0 again when the thread reads the request. */
  int asked;
  /* Atomic: a function that turn() calls when it ends, or NULL if Python code receives no messages of other workers. */
  void (*messages)(void);
  int stopping;             /* the thread has read the request to stop */
  core_record *head, *tail; /* records with events; guarded by the pool's mutex */
} asgi_thread;

/* --- asgi_thread.c ----------------------------------------------------------- */

extern asgi_thread asgi_the_thread;
extern const core_mode asgi_mode;
/* Adds events (ASGI_EVENT_...) to rec, puts rec into the list, and wakes the asyncio thread; can be called on any
 * thread, without the GIL. */
void asgi_post_event(core_record *rec, unsigned events);
/* Wakes the asyncio thread if it sleeps; can be called on any thread, without the GIL. */
void asgi_thread_wake(void);
/* Wakes the server's event loop if parts were published, unless a function further up the stack will wake the loop
 * (asgi_thread.depth). */
void asgi_thread_notify(void);

/* =============================================================================
 * How exchanges run on the asyncio thread: asgi_exchange.c, asgi_task.c, asgi_waiter.c, asgi_messages.c,
 * asgi_handler.c and asgi_stack.c.
 *
 * An exchange is a coroutine that a Task runs. The core_kind of an exchange tells its protocol: ASGI for HTTP, ASGI for
 * WebSockets, or an async handler. The record owns a reference to its exchange. The list asgi_thread.live owns a second
 * reference until the coroutine has ended. An exchange can outlive its record: the member rec is NULL after the last
 * part was published. */

typedef struct asgi_exchange asgi_exchange;

/* A core_kind for handlers that are coroutines; its function core_kind.run is always asgi_exchange_run. */
typedef struct {
  core_kind kind;

  /* If a function below publishes the last part of the response, the member rec of the exchange becomes NULL. */

  /* Returns the awaitable that the task must run. On failure, returns NULL with an exception. If the exchange has
   * ended, returns NULL without an exception. */
  PyObject *(*begin)(asgi_exchange *x);
  /* Stores the next message for receive() in *message, and returns 1. Returns 0 if receive() must wait, or -1 with an
   * exception. */
  int (*receive)(asgi_exchange *x, PyObject **message);
  int (*send)(asgi_exchange *x, PyObject *message);
  /* Called with the result of the awaitable. Returns the awaitable that the task runs next, or NULL, as the function
   * begin does. */
  PyObject *(*returned)(asgi_exchange *x, PyObject *result);
  /* Called if the awaitable has raised an exception, which is still set: clears the exception, and ends the
   * exchange. */
  void (*raised)(asgi_exchange *x);
  /* Called once when the client disconnects, before the waiting tasks are woken. */
  void (*gone)(asgi_exchange *x);
  /* Called for each message that the application passes to send() after the client has disconnected. If a call of
   * send() was waiting for room when the client disconnected, too_late is called with NULL as message. Returns 0 to
   * discard the message, 1 to discard the message and run other tasks before send() returns, or -1 with an exception
   * that send() raises. */
  int (*too_late)(asgi_exchange *x, PyObject *message);
} asgi_kind;

/* Reasons for which a waiter waits (asgi_waiter.what). */
enum {
  ASGI_FOR_NOTHING,
  ASGI_FOR_MESSAGE,
  ASGI_FOR_ROOM,
  ASGI_FOR_OTHERS /* for one iteration of asyncio's event loop, in which other tasks run */,
  ASGI_TO_SEND
};

/* A coroutine that receive() or send() returns, and that the application awaits. The coroutine ends when its exchange
 * has a message for receive(), or room for more of the response. */
typedef struct asgi_waiter {
  PyObject_HEAD asgi_exchange *exchange; /* owned */
  /* Owned: the future that the application's task awaits, or NULL if no task waits. */
  PyObject *future;
  /* Owned: the message to send if the member what is ASGI_TO_SEND, otherwise NULL. */
  PyObject *message;
  struct asgi_waiter *next, *prev;
  uint8_t what, ended;
  uint8_t woken; /* the future has its result, so the task will continue */
} asgi_waiter;

enum {
  ASGI_WAITS, /* the application has not sent http.response.start yet */
  /* The application has sent http.response.start, but the server has not sent the head to the client yet. */
  ASGI_HEAD,
  ASGI_BODY,     /* the server has sent the head to the client */
  ASGI_TRAILERS, /* the body is complete, and http.response.trailers must follow */
  ASGI_DISCARD,  /* the server does not need further data of the response, and discards what the application sends */
  ASGI_COMPLETE,
  ASGI_ACCEPTED,
};

/* Values of asgi_exchange.trailers: whether the response has trailers. Collected trailers are in asgi_exchange.head. */
enum { ASGI_NO_TRAILERS, ASGI_ANNOUNCED, ASGI_COLLECTED };

struct asgi_exchange {
  /* Record of the exchange. NULL after the last part was published, because the record then belongs to the event loop
   * again. */
  PyObject_HEAD core_record *rec;
  const asgi_kind *kind;
  core_mount *mount;
  PyObject *task; /* owned: the asyncio.Task, or NULL after the exchange has ended */
  /* Owned: the awaitable that the exchange runs at present, usually the application's coroutine. */
  PyObject *inner;
  PyObject *iterator;                 /* owned: yields the body of an async handler's response */
  PyObject *told;                     /* owned: the task that has received http.disconnect, or NULL */
  asgi_waiter *waiters, *last_waiter; /* borrowed: waiters are owned by the coroutines that await them */
  asgi_exchange *next, *prev;
  uint8_t state;
  uint8_t begun;
  uint8_t running;
  /* send() is running. A nested call of send() is an error. A method of an object in the message can make a nested
   * call. */
  uint8_t sending;
  uint8_t gone;
  /* The client has shut down its sending side: receive() reports a disconnect, but send() still works. */
  uint8_t hung;
  uint8_t ended;
  uint8_t overdue; /* the server has cancelled the task because of a timeout */
  /* The server has ended this event stream, the application knows this, and the server will cancel the task after
   * NOTICED_S (end_stream). */
  uint8_t warned;
  uint8_t waits;    /* only for async handlers: the awaitable in the member inner waits for room in the response */
  uint8_t trailers; /* ASGI_NO_TRAILERS to ASGI_COLLECTED */
  uint8_t received; /* the application has received the whole body or, for a WebSocket, the message websocket.connect */
  uint16_t code;    /* close code of a WebSocket (RFC 6455 §7.4) */
  PyObject *reason; /* owned: close reason, a str, or NULL */
  /* Number of messages that send() will still accept after the client has closed the WebSocket. */
  uint8_t words;
  /* Number of messages that send() has accepted after the client disconnected. For a WebSocket, receive() sets the
   * number to 0. */
  uint8_t unheard;
  int64_t taken; /* bytes of the body that receive() has returned */
  /* Beginning of the request line, and address of the client, for reports after the member rec has become NULL. */
  char line[160], addr[46];
  uint8_t line_len, addr_len;
  uint32_t log; /* number of the error log for reports after the member rec has become NULL */
  core_response head;
};

/* --- asgi_exchange.c --------------------------------------------------------- */

int asgi_exchange_init(void);
extern PyObject *asgi_cancelled_error;
/* Creates an exchange and a task for rec, and runs the task until it waits or ends. */
void asgi_exchange_run(core_thread *t, core_record *rec);

/* --- asgi_task.c ------------------------------------------------------------- */

int asgi_task_init(void);
/* Creates the task of x, runs the task until it waits or ends, and returns a new reference, or NULL on failure. Even if
 * the result is not NULL, an exception can be set, because a step of the task can raise an exception. */
PyObject *asgi_task_new(asgi_exchange *x);
void asgi_exchange_cancel(asgi_exchange *x);
/* Sends value into an iterator, as PyIter_Send does. */
PySendResult asgi_iter_send(PyObject *iterator, PyObject *value, PyObject **result);
/* Stores the value of the current StopIteration in *result, or None if no exception is set, and returns PYGEN_RETURN.
 * If a different exception is set, returns PYGEN_ERROR. */
PySendResult asgi_returned_value(PyObject **result);
/* Returns the iterator of an awaitable for asgi_iter_send, or NULL with TypeError if the object cannot be awaited. */
PyObject *asgi_await(PyObject *awaitable);

/* --- asgi_waiter.c ----------------------------------------------------------- */

extern PyTypeObject asgi_Waiter_Type;
int asgi_waiter_init(void);
/* Creates a coroutine that waits; the parameter what is the reason (ASGI_FOR_...). */
PyObject *asgi_waiter_new(asgi_exchange *x, int what);
/* Returns a coroutine for a call of send() on a thread other than the asyncio thread. When the coroutine is awaited, it
 * sends the message, and then waits for room. */
PyObject *asgi_send_when_awaited(asgi_exchange *x, PyObject *message);
/* A coroutine that ends at once when it is awaited, shared by all exchanges. */
extern PyObject *asgi_done;
/* Converts the two results of asgi_iter_send to the result of a tp_iternext function. PYGEN_RETURN becomes a
 * StopIteration with the value result. Steals the reference to result. */
PyObject *asgi_send_result(PySendResult how, PyObject *result);
/* Raises the exception that the arguments of throw(type[, value[, traceback]]) describe, and returns NULL. */
PyObject *asgi_raise_thrown(PyObject *args);
void asgi_wake_waiters(asgi_exchange *x, int what);
int asgi_listens(asgi_exchange *x);

/* --- asgi_handler.c ---------------------------------------------------------- */

extern const asgi_kind asgi_handler;

/* --- asgi_stack.c ------------------------------------------------------------ */

int asgi_state_of(core_record *rec, int *thread);

/* =============================================================================
 * ASGI 3 (https://asgi.readthedocs.io/en/stable/specs/main.html): the call of an application, its scope, and the
 * messages of HTTP and of WebSockets. */

/* --- asgi_messages.c --------------------------------------------------------- */

int asgi_init(void);
/* Removes and returns the first input of rec, or returns NULL if rec has no input. The caller must free the input.
 * Permits the client to send as many further bytes as the input contains. */
core_input *asgi_take_input(core_record *rec);
/* Calls the application, and steals the reference to scope. Returns the awaitable of the application, or NULL with an
 * exception. If scope is NULL, an exception must be set already. */
PyObject *asgi_call(asgi_exchange *x, PyObject *scope);
/* Sends message at once, and returns a coroutine that waits for room, or asgi_done if there is room. */
PyObject *asgi_send(asgi_exchange *x, PyObject *message);
/* Reads the type of a message that the application passes to send(), and returns the index of the type in the array
 * texts. Only types with an index from first to last are valid. The array text contains a str object for each element
 * of texts, in the same order. Element 0 of both arrays must be "type". */
int asgi_message_type(PyObject *message, PyObject *const *text, const char *const *texts, int first, int last);
/* Looks up two keys in a message, and calls the function f with the two values. The value of a missing key is NULL. */
int asgi_with_values(asgi_exchange *x, PyObject *message, PyObject *first, PyObject *second,
                     int (*f)(asgi_exchange *, PyObject *, PyObject *));
/* Makes a message for receive(). The message is a dict with the key "type", and with the pairs of key and value that
 * follow in the arguments. NULL must follow the last pair. Steals the references to the values of the pairs. Returns 1
 * or -1, as asgi_kind.receive does. */
int asgi_message(PyObject **message, PyObject *type, ...);
/* Reports the current exception, and ends the exchange: with a response of status 500, or by aborting the response if
 * it has begun. */
void asgi_raised(asgi_exchange *x);
/* Maximum number of messages that send() discards after the client has disconnected. */
#define ASGI_LAST_WORDS 64
/* Raises OSError, as ASGI 2.4 requires of send() after the client has disconnected, and returns -1. */
int asgi_left(asgi_exchange *x, PyObject *message);

/* --- asgi_http.c ------------------------------------------------------------- */

extern const asgi_kind asgi_http;
int asgi_http_init(void);
int asgi_send_start(asgi_exchange *x, PyObject *message);
int asgi_send_body(asgi_exchange *x, PyObject *message);
void asgi_exchange_publish(asgi_exchange *x, core_part *p);

/* --- asgi_websocket.c -------------------------------------------------------- */

extern const asgi_kind asgi_websocket;
/* Whether messages of the application come too late, because the client has disconnected (asgi_kind.too_late). */
int asgi_has_left(asgi_exchange *x);

/* --- asgi_scope.c ------------------------------------------------------------ */

int asgi_scope_init(void);
/* Returns the scope of rec (ASGI 3, "Connection Scope") as a new dict. */
PyObject *asgi_scope(core_record *rec);

/* If the client uses TLS, adds the TLS extension of ASGI to the dict extensions with the key "tls". */
int asgi_put_tls(PyObject *extensions, const core_record *rec);
