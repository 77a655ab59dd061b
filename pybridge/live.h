/* The layer live_ of the C code: WebSockets with callbacks, broadcasts and groups, channels, messages between
 * processes, and module _fapws.
 *
 * The functions can be called on any thread that has the GIL, unless the comment of a function says otherwise. */
#pragma once

#include "asgi.h"

/* =============================================================================
 * WebSockets with callbacks, and broadcasts to all WebSockets: live_websocket.c, live_state.c,
 * live_object.c and live_groups.c.
 *
 * The record owns a reference to its live_ws_object. The application can keep that object after the exchange has ended,
 * so the member rec of the object then becomes NULL. Only one thread at a time runs a record, but any thread with the
 * GIL can send messages and close the WebSocket. */

/* --- live_state.c -------------------------------------------------------------- */

enum { LIVE_WS_OPENING, LIVE_WS_OPEN, LIVE_WS_CLOSING, LIVE_WS_CLOSED };

/* A fapws.WebSocketConnection, the first argument of each callback. Owns the objects in its members. */
typedef struct {
  PyObject_HEAD core_record *rec; /* borrowed; NULL after the exchange has ended */
  PyObject *environ;
  PyObject *protocol;
  PyObject *data;
  PyObject *refusal; /* the fapws.HTTPError that reject() has set, or NULL */
  PyObject *reason;  /* the close reason, a str, or NULL */
  PyObject *groups;  /* names of the groups that the WebSocket has joined, a set of str, or NULL */
  PyObject *weak;
  uint16_t code;
  uint8_t state; /* atomic; only changed between CORE_BEGIN_HOLD and CORE_END_HOLD */
} live_ws_object;

static inline int live_ws_state(const live_ws_object *ws) { return __atomic_load_n(&ws->state, __ATOMIC_ACQUIRE); }
static inline void live_ws_set_state(live_ws_object *ws, int state) {
  __atomic_store_n(&ws->state, (uint8_t)state, __ATOMIC_RELEASE);
}

int live_ws_accept(live_ws_object *ws);
void live_ws_publish(core_part *p);
/* Closes the WebSocket with a close code, and makes on_close run. The close reason is a str or NULL. */
int live_ws_shut(live_ws_object *ws, int code, PyObject *reason);

/* Waits until no thread is in send(), and detaches the object from its record. */
void live_ws_detach(live_ws_object *ws);

/* --- live_websocket.c -------------------------------------------------------- */

extern const core_kind live_websockets;

/* --- live_object.c ------------------------------------------------------------- */

extern PyTypeObject live_WebSocketConnection_Type;
live_ws_object *live_ws_new(core_record *rec);
PyObject *live_ws_environ(live_ws_object *ws);
PyObject *live_ws_broadcast(PyObject *module, PyObject *args);

/* --- live_groups.c ------------------------------------------------------------ */

/* Returns the value of --channel-max-event in bytes. It limits a broadcast, and an event in the form that clients
 * get. */
int live_largest_event(void);
/* Sends a broadcast to the event loop, and returns the result of core_publish_event. Returns NULL with an exception if
 * the message has more bytes than the maximum, the parameter most. */
PyObject *live_broadcast_to(const char *place, const core_message *message, const core_bytes *group, int most);

extern PyMethodDef live_group_methods[];
PyObject *live_ws_join(PyObject *self, PyObject *group);
PyObject *live_ws_leave(PyObject *self, PyObject *group);

/* --- live_users.c ----------------------------------------------------------- */

extern PyMethodDef live_user_methods[];

/* --- app.go ------------------------------------------------------------------ */

/* Implements the functions of fapws.users, and does not need the GIL. The caller must free the result. */
char *live_change_users(const char *action, const char *file, const char *name, const char *password, int *error);

/* --- live_channels.c -------------------------------------------------------- */

extern PyMethodDef live_channel_methods[];
PyObject *live_presence_handler(void);

/* --- live_ipc.c -------------------------------------------------------------- */

extern PyMethodDef live_ipc_methods[];
