/* asgi_: the asyncio thread, the exchanges whose coroutines it runs, and ASGI 3
 * (https://asgi.readthedocs.io/en/stable/specs/main.html).
 *
 * All functions are called on the asyncio thread, with the GIL, unless a comment says otherwise. */
#pragma once

#include "wsgi.h"

/* =============================================================================
 * The asyncio thread and its list of records with events: asgi_thread.c.
 *
 * A process has one asyncio thread; asgi_the_thread lives as long as the process. The pool's mutex guards the list
 * and the events of its records; other members belong to the asyncio thread, under the GIL, unless they are marked
 * atomic. */

/* Events of a record that the asyncio thread runs (bits). */
enum {
  ASGI_EVENT_RUN = 1,
  ASGI_EVENT_NEXT = 2,
  ASGI_EVENT_INPUT = 4,
  ASGI_EVENT_ROOM = 8, /* the client has received enough of the response, so that more can be sent */
  ASGI_EVENT_GONE = 16,
  ASGI_EVENT_OVERDUE = 32,
  ASGI_EVENT_ENDS = 64, /* the server has ended an event stream, because it stops */
};

typedef struct {
  PyObject *loop; /* owned: the event loop object of asyncio */
  core_thread thread;
  int depth;                  /* nonzero if a function further up the call stack will wake the server's event loop */
  struct asgi_exchange *live; /* owned: exchanges whose coroutines have not ended */
  int event;                  /* eventfd that wakes the thread; 0 if the thread does not exist */
  int asleep;                 /* atomic: the thread checks the list only after a write to event */
  unsigned long turns;        /* atomic: number of calls of turn() */
  /* 0, or if the server has abandoned the thread, asgi_progress() + 1 at this time. Guarded by the pool's mutex. */
  unsigned long left_at;
  /* Atomic: 0 before asgi_thread_stop is called, then its argument plus one, and 0 again when the thread has read
   * it. */
  int asked;
  void (*messages)(void);   /* atomic: called at the end of each turn, or NULL if Python receives no messages */
  int stopping;             /* the thread has read that it must stop */
  core_record *head, *tail; /* records with events; guarded by the pool's mutex */
} asgi_thread;

/* --- asgi_thread.c ----------------------------------------------------------- */

extern asgi_thread asgi_the_thread;
extern const core_mode asgi_mode;
/* Adds events (ASGI_EVENT_...) to rec, puts it into the list, and wakes the thread. Any thread, without the GIL. */
void asgi_post_event(core_record *rec, unsigned events);
/* Wakes the thread if it sleeps. Any thread, without the GIL. */
void asgi_thread_wake(void);
/* Wakes the server's event loop for published parts, unless a function further up the call stack will wake it. */
void asgi_thread_notify(void);

/* =============================================================================
 * How exchanges run on the asyncio thread: asgi_exchange.c, asgi_task.c, asgi_waiter.c, asgi_messages.c,
 * asgi_handler.c and asgi_stack.c.
 *
 * An exchange is a coroutine that a Task runs. The core_kind of an exchange tells whether it is ASGI, an async handler
 * or a WebSocket. The record owns a reference to its exchange, and so does the list asgi_thread.live until the
 * coroutine has ended. An exchange may outlive its record: rec is NULL from the last part on. */

typedef struct asgi_exchange asgi_exchange;

/* A kind whose handlers are coroutines: its run is asgi_exchange_run. */
typedef struct {
  core_kind kind;

  /* exchange->rec may become NULL during a call that publishes the last part. */

  /* Makes the awaitable that the task runs. Returns NULL with an exception, or NULL without an exception if the
   * exchange has ended. */
  PyObject *(*begin)(asgi_exchange *x);
  /* Stores the next message of receive() in *message. Returns 1 with a message, 0 if receive() must wait, -1 with an
   * exception. */
  int (*receive)(asgi_exchange *x, PyObject **message);
  int (*send)(asgi_exchange *x, PyObject *message);
  /* Called with the result of the awaitable. Returns the next awaitable or NULL, like begin. */
  PyObject *(*returned)(asgi_exchange *x, PyObject *result);
  /* Called while the exception of the awaitable is set. Clears the exception, and ends the exchange. */
  void (*raised)(asgi_exchange *x);
  /* Called once when the client disconnects, before the waiting tasks are woken. */
  void (*gone)(asgi_exchange *x);
  /* Called for each message of send() after the client has disconnected. If the awaitable was waiting for room, the
   * function is called with NULL as message. Returns 0 to discard the message, 1 to discard it and let other tasks run
   * first, -1 with an exception. */
  int (*too_late)(asgi_exchange *x, PyObject *message);
} asgi_kind;

/* Reasons to wait. */
enum {
  ASGI_FOR_NOTHING,
  ASGI_FOR_MESSAGE,
  ASGI_FOR_ROOM,
  ASGI_FOR_OTHERS /* one turn of asyncio's event loop */,
  ASGI_TO_SEND
};

/* A coroutine that the application awaits. The coroutine ends when its exchange has a message, or room for more of the
 * response. asgi_done ends at once. */
typedef struct asgi_waiter {
  PyObject_HEAD asgi_exchange *exchange; /* owned */
  PyObject *future;                      /* owned: the future that the task awaits, or NULL if the task does not wait */
  PyObject *message;                     /* owned: the message of ASGI_TO_SEND, otherwise NULL */
  struct asgi_waiter *next, *prev;       /* in the list exchange.waiters unless future is NULL */
  uint8_t what, ended;
  uint8_t woken; /* the future has a result, so the task will run */
} asgi_waiter;

enum {
  ASGI_WAITS,    /* waits for http.response.start */
  ASGI_HEAD,     /* the head was received, and nothing was sent */
  ASGI_BODY,     /* the head was sent */
  ASGI_TRAILERS, /* the body is complete, http.response.trailers follows */
  ASGI_DISCARD,  /* the server sends its own response and drops further data of the application */
  ASGI_COMPLETE,
  ASGI_ACCEPTED,
};

/* Whether the response has trailers (asgi_exchange.trailers). Collected trailers are in asgi_exchange.head. */
enum { ASGI_NO_TRAILERS, ASGI_ANNOUNCED, ASGI_COLLECTED };

struct asgi_exchange {
  /* record of the exchange, or NULL after the last part was published, when the record belongs to the event loop */
  PyObject_HEAD core_record *rec;
  const asgi_kind *kind;
  core_mount *mount;
  PyObject *task;                     /* owned, until the end */
  PyObject *inner;                    /* owned: the awaitable of the application */
  PyObject *iterator;                 /* owned: yields the body of an async handler's response */
  PyObject *told;                     /* owned: the task that has received http.disconnect, or NULL */
  asgi_waiter *waiters, *last_waiter; /* borrowed: waiters are owned by the coroutines that await them */
  asgi_exchange *next, *prev;         /* in asgi_thread.live */
  uint8_t state;
  uint8_t begun;
  uint8_t running;
  uint8_t sending; /* send() is running: a value of its message may call send() again */
  uint8_t gone;
  /* The client has shut down its sending side: receive() reports a disconnect, but send() still works. */
  uint8_t hung;
  uint8_t ended;
  uint8_t overdue; /* the server has cancelled the task because of a timeout */
  /* The server has ended this event stream, and the first of two delays before the task is cancelled has passed. */
  uint8_t warned;
  uint8_t waits;    /* for async handlers: inner waits for room in the response */
  uint8_t trailers; /* ASGI_NO_TRAILERS to ASGI_COLLECTED */
  uint8_t received; /* the application has received the whole body, or websocket.connect */
  uint16_t code;    /* close code of a WebSocket (RFC 6455 §7.4) */
  PyObject *reason; /* owned: close reason, a str, or NULL */
  /* Number of messages that send() may still discard after the client has closed the WebSocket. */
  uint8_t words;
  /* Number of messages that the application has sent after the connection was closed, without receiving a message. */
  uint8_t unheard;
  int64_t taken; /* bytes of the body that receive() has returned */
  /* Beginning of the request line, and address of the client, for messages after rec has become NULL. */
  char line[160], addr[46];
  uint8_t line_len, addr_len;
  uint32_t log; /* number of the error log, for messages after rec has become NULL */
  wsgi_start_object head;
};

/* --- asgi_exchange.c --------------------------------------------------------- */

int asgi_exchange_init(void);
extern PyObject *asgi_cancelled_error;
/* Creates the exchange of rec and its task, and runs the task until it waits. All kinds with coroutines use this
 * function as core_kind.run. */
void asgi_exchange_run(core_thread *t, core_record *rec);

/* --- asgi_task.c ------------------------------------------------------------- */

int asgi_task_init(void);
/* Creates the task of x and runs it until it waits. Returns a new reference, or NULL. In both cases, code of the
 * task may leave an exception set. */
PyObject *asgi_task_new(asgi_exchange *x);
void asgi_exchange_cancel(asgi_exchange *x);
/* Sends value into an iterator, as PyIter_Send does. */
PySendResult asgi_iter_send(PyObject *iterator, PyObject *value, PyObject **result);
/* Returns PYGEN_RETURN if the current exception is StopIteration or if there is none, and stores the returned value.
 * With any other exception, returns PYGEN_ERROR. */
PySendResult asgi_returned_value(PyObject **result);
/* Returns an iterator that runs an awaitable by asgi_iter_send, or NULL with TypeError. */
PyObject *asgi_await(PyObject *awaitable);

/* --- asgi_waiter.c ----------------------------------------------------------- */

extern PyTypeObject asgi_Waiter_Type;
int asgi_waiter_init(void);
/* Creates a coroutine that waits for what (ASGI_FOR_...). */
PyObject *asgi_waiter_new(asgi_exchange *x, int what);
/* Returns a coroutine that sends message and waits for room. send() returns it on other threads than the asyncio
 * thread. */
PyObject *asgi_send_when_awaited(asgi_exchange *x, PyObject *message);
/* A waiter that is done at once. All exchanges share this waiter. */
extern PyObject *asgi_done;
/* Converts a result of asgi_iter_send to a result of tp_iternext: a returned value becomes StopIteration. Takes the
 * reference to result. */
PyObject *asgi_send_result(PySendResult how, PyObject *result);
/* Raises the exception in the arguments of throw(type[, value[, traceback]]). Returns NULL. */
PyObject *asgi_raise_thrown(PyObject *args);
void asgi_wake_waiters(asgi_exchange *x, int what);
/* Whether a task of the application waits for a message. */
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
/* Returns the next input, which the caller frees, or NULL. The client may then send as many further bytes as the
 * input has. */
core_input *asgi_take_input(core_record *rec);
/* Calls the application. Takes the reference to scope; if scope is NULL, fails. Returns the awaitable of the
 * application, or NULL, like asgi_kind.begin. */
PyObject *asgi_call(asgi_exchange *x, PyObject *scope);
/* Sends message at once. Returns a coroutine that waits for room: a new reference. */
PyObject *asgi_send(asgi_exchange *x, PyObject *message);
/* Returns the type of a message to send() as its index in texts, which must be between first and last. text has the
 * same texts as str objects; its first element is "type". Returns -1 with an exception. */
int asgi_message_type(PyObject *message, PyObject *const *text, const char *const *texts, int first, int last);
/* Calls f with the values of two keys of message. A value is NULL if message lacks the key. Returns -1 with an
 * exception. */
int asgi_with_values(asgi_exchange *x, PyObject *message, PyObject *first, PyObject *second,
                     int (*f)(asgi_exchange *, PyObject *, PyObject *));
/* Makes a message for receive(): a dict with its type and further pairs of key and value. Takes the references to
 * the values. NULL ends the arguments. Returns 1 or -1, like receive. */
int asgi_message(PyObject **message, PyObject *type, ...);
/* Reports the current exception, and ends the exchange with status 500, or aborts a response that has begun. */
void asgi_raised(asgi_exchange *x);
/* Maximum number of messages that send() discards after the client has disconnected. */
#define ASGI_LAST_WORDS 64
/* Raises OSError, as ASGI 2.4 requires of send() if the client has disconnected. Returns -1. */
int asgi_left(asgi_exchange *x, PyObject *message);

/* --- asgi_http.c ------------------------------------------------------------- */

extern const asgi_kind asgi_http;
int asgi_http_init(void);
/* Sends http.response.start and http.response.body. -1 with an exception. */
int asgi_send_start(asgi_exchange *x, PyObject *message);
int asgi_send_body(asgi_exchange *x, PyObject *message);
/* Publishes p, a part of x. The body of p is in p->buf or in the memory of p->owner. */
void asgi_exchange_publish(asgi_exchange *x, core_part *p);

/* --- asgi_websocket.c -------------------------------------------------------- */

extern const asgi_kind asgi_websocket;
/* Whether send() must raise an exception because the client has disconnected. */
int asgi_has_left(asgi_exchange *x);

/* --- asgi_scope.c ------------------------------------------------------------ */

int asgi_scope_init(void);
/* The scope of rec (ASGI 3, "Connection Scope"): a new dict. */
PyObject *asgi_scope(core_record *rec);

/* Puts "tls", the TLS extension of ASGI, into the extensions of a scope, if the client uses TLS. -1 with an exception.
 * With the GIL. */
int asgi_put_tls(PyObject *extensions, const core_record *rec);
