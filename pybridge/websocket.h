/* WebSockets with callbacks, and broadcasts to all WebSockets: websocket.c, wsstate.c, wshandover.c, wsobject.c and
 * broadcast.c.
 *
 * The record owns a reference to its fapws_ws_object, and the application may hold others: the object's rec becomes
 * NULL at the end. One thread at a time runs a record; any thread with the GIL may send and close. */
#ifndef FAPWS_WEBSOCKET_H
#define FAPWS_WEBSOCKET_H

#include "messages.h"

/* --- wsstate.c -------------------------------------------------------------- */

enum { FAPWS_WS_OPENING, FAPWS_WS_OPEN, FAPWS_WS_CLOSING, FAPWS_WS_CLOSED };

/* The argument of the callbacks: a fapws.WebSocketConnection. Its objects are owned; any thread with the GIL. */
typedef struct {
  PyObject_HEAD fapws_record *rec; /* borrowed; NULL when the exchange has ended */
  PyObject *environ;               /* dict, made on demand */
  PyObject *protocol;              /* str, or NULL */
  PyObject *data;                  /* the application's own */
  PyObject *refusal;               /* HTTPError that reject() has made */
  PyObject *reason;                /* str: argument of close() */
  PyObject *groups;                /* set of str: the groups it has joined, or NULL */
  PyObject *weak;
  uint16_t code; /* argument of close() */
  uint8_t state; /* atomic; changed while the object is held (parallel.h) */
} fapws_ws_object;

static inline int fapws_ws_state(const fapws_ws_object *ws) { return __atomic_load_n(&ws->state, __ATOMIC_ACQUIRE); }
static inline void fapws_ws_set_state(fapws_ws_object *ws, int state) {
  __atomic_store_n(&ws->state, (uint8_t)state, __ATOMIC_RELEASE);
}

/* Accepts the WebSocket. -1 with an exception. */
int fapws_ws_accept(fapws_ws_object *ws);
/* Publishes a part on any thread with the GIL. */
void fapws_ws_publish(fapws_part *p);
/* Sends the end of the WebSocket, and has on_close called. reason: a str or NULL. */
int fapws_ws_shut(fapws_ws_object *ws, int code, PyObject *reason);

/* Detaches the object from its record, once no thread sends any more. */
void fapws_ws_detach(fapws_ws_object *ws);

/* --- wshandover.c ----------------------------------------------------------- */

/* Answers FAPWS_OP_HAND_OVER. 1: handed over, the record belongs to the event loop; 0: the WebSocket stays. */
int fapws_ws_hand_over(fapws_thread *t, fapws_ws_object *ws);
/* Takes over a WebSocket that another process has accepted. -1 with an exception. */
int fapws_ws_resume(fapws_ws_object *ws);

/* --- wsobject.c ------------------------------------------------------------- */

extern PyTypeObject fapws_WebSocketConnection_Type;
/* A new reference. */
fapws_ws_object *fapws_ws_new(fapws_record *rec);
/* environ of the handshake. A new reference. */
PyObject *fapws_ws_environ(fapws_ws_object *ws);
/* Whether a close frame may have that code (RFC 6455 §7.4). */
int fapws_sendable(long code);
/* A message as bytes of owner. */
typedef struct {
  PyObject *owner; /* a new reference */
  const char *data;
  Py_ssize_t len;
  int op;
} fapws_message;
/* Reads a str (text), bytes or a similar object (binary). -1 with an exception; owner must be released in any case. */
int fapws_read_message(PyObject *o, fapws_message *m);
/* A part with a message, or NULL with an exception. */
fapws_part *fapws_message_part(fapws_record *rec, PyObject *message);

/* Methods of module _fapws. */
PyObject *fapws_ws_broadcast(PyObject *module, PyObject *args);

/* --- broadcast.c ------------------------------------------------------------ */

/* Sends a broadcast to the event loop: the result of fapws_publish_event, or NULL with an exception if it has more than
 * most bytes. */
PyObject *fapws_broadcast_to(const char *place, const fapws_message *message, const fapws_bytes *group, int most);
/* The number of a WebSocket for the event loop, which differs when its record is used again. */
static inline uint64_t fapws_socket_number(const fapws_record *rec) {
  return (uint64_t)rec->serial << 32 | rec->ticket;
}

/* Methods of module _fapws. */
PyObject *fapws_ws_broadcast_all(PyObject *module, PyObject *args);
PyObject *fapws_ws_count(PyObject *module, PyObject *args);
PyObject *fapws_group_join(PyObject *module, PyObject *args);
PyObject *fapws_group_leave(PyObject *module, PyObject *args);
PyObject *fapws_group_send(PyObject *module, PyObject *args);
PyObject *fapws_group_count(PyObject *module, PyObject *args);
/* ws.join(group), ws.leave(group). */
PyObject *fapws_ws_join(PyObject *self, PyObject *group);
PyObject *fapws_ws_leave(PyObject *self, PyObject *group);

#endif
