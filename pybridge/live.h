/* live_: WebSockets with callbacks, broadcasts and groups, channels, messages between processes, and module _fapws,
 * which puts all parts together.
 *
 * On any thread with the GIL, unless a comment says otherwise. */
#pragma once

#include "asgi.h"

/* =============================================================================
 * WebSockets with callbacks, and broadcasts to all WebSockets: live_websocket.c, live_state.c, live_handover.c,
 * live_object.c and live_groups.c.
 *
 * The record owns a reference to its live_ws_object, and the application may hold others: the object's rec becomes
 * NULL at the end. One thread at a time runs a record; any thread with the GIL may send and close. */

/* --- live_state.c -------------------------------------------------------------- */

enum { LIVE_WS_OPENING, LIVE_WS_OPEN, LIVE_WS_CLOSING, LIVE_WS_CLOSED };

/* The argument of the callbacks: a fapws.WebSocketConnection. A fapws.WebSocketConnection owns its objects; any thread
 * with the GIL may use it. */
typedef struct {
  PyObject_HEAD core_record *rec; /* borrowed; NULL after the exchange has ended */
  PyObject *environ;
  PyObject *protocol;
  PyObject *data;
  PyObject *refusal; /* the HTTPError with which reject() refuses the WebSocket, or NULL */
  PyObject *reason;  /* a str, the reason of close(), or NULL */
  PyObject *groups;  /* a set of str, the names of the groups that the WebSocket has joined, or NULL */
  PyObject *weak;
  uint16_t code;
  uint8_t state; /* atomic; changed while the object is held (CORE_BEGIN_HOLD) */
} live_ws_object;

static inline int live_ws_state(const live_ws_object *ws) { return __atomic_load_n(&ws->state, __ATOMIC_ACQUIRE); }
static inline void live_ws_set_state(live_ws_object *ws, int state) {
  __atomic_store_n(&ws->state, (uint8_t)state, __ATOMIC_RELEASE);
}

int live_ws_accept(live_ws_object *ws);
void live_ws_publish(core_part *p);
/* Closes the WebSocket with code and schedules on_close. reason is a str or NULL. */
int live_ws_shut(live_ws_object *ws, int code, PyObject *reason);

/* Detaches the object from its record, after all threads have stopped sending. */
void live_ws_detach(live_ws_object *ws);

/* --- live_websocket.c -------------------------------------------------------- */

extern const core_kind live_websockets;

/* --- live_handover.c ----------------------------------------------------------- */

/* Answers CORE_OP_HAND_OVER. Returns 1 if the WebSocket was handed over and its record belongs to the event loop, 0
 * if the WebSocket stays. */
int live_ws_hand_over(core_thread *t, live_ws_object *ws);
/* Takes over a WebSocket that another process has accepted. -1 with an exception. */
int live_ws_resume(live_ws_object *ws);

/* --- live_object.c ------------------------------------------------------------- */

extern PyTypeObject live_WebSocketConnection_Type;
live_ws_object *live_ws_new(core_record *rec);
PyObject *live_ws_environ(live_ws_object *ws);
PyObject *live_ws_broadcast(PyObject *module, PyObject *args);

/* --- live_groups.c ------------------------------------------------------------ */

/* Maximum bytes of a broadcast, or of an event in its transmitted form. */
int live_largest_event(void);
/* Sends a broadcast to the event loop. Returns the result of core_publish_event, or NULL with an exception if the
 * message has more than most bytes. */
PyObject *live_broadcast_to(const char *place, const core_message *message, const core_bytes *group, int most);

extern PyMethodDef live_group_methods[];
PyObject *live_ws_join(PyObject *self, PyObject *group);
PyObject *live_ws_leave(PyObject *self, PyObject *group);

/* --- live_users.c ----------------------------------------------------------- */

extern PyMethodDef live_user_methods[];

/* --- users.go ---------------------------------------------------------------- */

/* Does the work of a function of fapws.users. Returns a text that the caller frees. Without the GIL. */
char *live_change_users(const char *action, const char *file, const char *name, const char *password, int *error);

/* --- live_channels.c -------------------------------------------------------- */

extern PyMethodDef live_channel_methods[];
PyObject *live_presence_handler(void);

/* --- live_ipc.c -------------------------------------------------------------- */

extern PyMethodDef live_ipc_methods[];
