/* Broadcasts to all WebSockets of an entry of PATHS in all processes, and to groups of WebSockets. The event loop keeps
 * the lists of group members (runtime/live/sockets.go), and this file sends the changes of these lists. */
#include "live.h"

#include <stdlib.h>
#include <string.h>

#define the_pool core_the_pool
#define LONGEST_GROUP 128
#define MOST_GROUPS 1000
#define LARGEST_EVENT (16 << 20) /* maximum size of an event in bytes until the settings are known */

/* --- messages to the event loop ---------------------------------------------- */

static const core_mount *mount_of(PyObject *websocket) {
  for (int i = 0; i < the_pool.nmounts; i++)
    if (the_pool.mounts[i].callable == websocket && the_pool.mounts[i].place) return &the_pool.mounts[i];
  return NULL;
}

/* The functions group_of and group_or_all are converters for PyArg_ParseTuple, from the name of a group to core_bytes.
 * group_or_all also converts None, to an empty name. */
static int group_of(PyObject *group, void *to) {
  core_bytes *out = to;
  if (!PyUnicode_Check(group))
    return !core_raise(PyExc_TypeError, "a group must be a str, not %.100s", Py_TYPE(group)->tp_name);
  Py_ssize_t n = PyUnicode_GetLength(group);
  if (n < 1 || n > LONGEST_GROUP)
    return !core_raise(PyExc_ValueError, "a group must have 1 to %d characters, not %zd", LONGEST_GROUP, n);
  out->text = PyUnicode_AsUTF8AndSize(group, &n);
  out->len = (uint32_t)n;
  return out->text != NULL;
}

static int group_or_all(PyObject *group, void *to) {
  if (group != Py_None) return group_of(group, to);
  *(core_bytes *)to = (core_bytes){"", 0};
  return 1;
}

static PyObject *unknown(void) { return PyErr_Format(PyExc_ValueError, "broadcast: this WebSocket is not in PATHS"); }

int live_largest_event(void) { return the_pool.max_event > 0 ? the_pool.max_event : LARGEST_EVENT; }

PyObject *live_broadcast_to(const char *place, const core_message *message, const core_bytes *group, int most) {
  if (core_check_parent() < 0) return NULL;
  if (message->len > most)
    return PyErr_Format(PyExc_ValueError, "broadcast: the message has %zd bytes; --channel-max-event allows %d",
                        message->len, most);
  char op = (char)message->op;
  core_bytes texts[] = {{place, (uint32_t)strlen(place)}, *group, {&op, 1}, {message->data, (uint32_t)message->len}};
  return core_publish_event(CORE_BROADCAST, texts, 4);
}

static PyObject *broadcast_all(PyObject *module, PyObject *args) {
  PyObject *websocket, *text, *result;
  core_bytes name;
  core_message message;
  if (!PyArg_ParseTuple(args, "OOO&:broadcast", &websocket, &text, group_or_all, &name) || core_check_parent() < 0 ||
      core_read_message(text, &message) < 0)
    return NULL;
  const core_mount *m = mount_of(websocket);
  if (m)
    result = live_broadcast_to(m->place, &message, &name, live_largest_event());
  else if (the_pool.mounts)
    result = unknown();
  else /* the script is still loading, so no client is connected */
    result = Py_NewRef(Py_True);
  Py_DECREF(message.owner);
  return result;
}

/* Makes the key of a group in the table of subscriber counts. The key, "#" and a hash (FNV-1a), is never the name of a
 * channel. GroupKey in messages.go makes the same key. */
static void count_key(char key[20], const char *place, const core_bytes *group) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0, n = strlen(place); i <= n; i++)
    h = (h ^ (unsigned char)place[i]) * 1099511628211u; /* the hash includes the NUL after place */
  for (uint32_t i = 0; i < group->len; i++) h = (h ^ (unsigned char)group->text[i]) * 1099511628211u;
  snprintf(key, 20, "#%016llx", (unsigned long long)h);
}

static PyObject *count_of(const char *place, const core_bytes *group) {
  char key[20];
  count_key(key, place, group);
  return PyLong_FromLongLong(live_subscriber_count(key, strlen(key)));
}

static PyObject *websocket_count(PyObject *module, PyObject *args) {
  PyObject *websocket;
  core_bytes name;
  if (!PyArg_ParseTuple(args, "OO&:broadcast", &websocket, group_or_all, &name) || core_check_parent() < 0) return NULL;
  const core_mount *m = mount_of(websocket);
  if (!m) return the_pool.mounts ? unknown() : PyLong_FromLong(0);
  return count_of(m->place, &name);
}

static PyObject *tell_group(uint64_t socket, uint8_t kind, const core_bytes *group) {
  core_bytes texts[] = {{(const char *)&socket, sizeof socket}, *group};
  if (core_enqueue_message(kind, texts, 2) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *new_set(void) { return PySet_New(NULL); }

/* Creates the set ws->groups if necessary, and returns a new reference to the group's name, or NULL with an exception.
 * An instance of a subclass is converted to str, because its __hash__ could run code that ends the WebSocket. */
static PyObject *group_key(live_ws_object *ws, PyObject *group, core_bytes *name) {
  if (core_check_parent() < 0 || !group_of(group, name)) return NULL;
  /* The set must be created before the key. Creating it can start the garbage collector, which can run Python code. */
  if (!core_keep_first(&ws->groups, new_set)) return NULL;
  if (!PyUnicode_CheckExact(group)) return PyUnicode_FromStringAndSize(name->text, (Py_ssize_t)name->len);
  return Py_NewRef(group);
}

/* The functions join and leave never release the GIL, so the event loop receives the changes in the order in which they
 * change the set. */
static PyObject *join(live_ws_object *ws, PyObject *key, const core_bytes *name) {
  if (live_ws_state(ws) > LIVE_WS_OPEN || !ws->rec || ws->refusal) Py_RETURN_NONE;
  int in = PySet_Contains(ws->groups, key);
  if (in < 0) return NULL;
  if (in) Py_RETURN_NONE;
  if (PySet_GET_SIZE(ws->groups) >= MOST_GROUPS)
    return PyErr_Format(PyExc_ValueError, "join: a WebSocket can be in up to %d groups", MOST_GROUPS);
  if (PySet_Add(ws->groups, key) < 0) return NULL;
  return tell_group(core_socket_number(ws->rec), CORE_JOIN, name);
}

static PyObject *leave(live_ws_object *ws, PyObject *key, const core_bytes *name) {
  if (!ws->rec) Py_RETURN_NONE;
  int was = PySet_Discard(ws->groups, key);
  if (was < 0) return NULL;
  if (!was) Py_RETURN_NONE;
  return tell_group(core_socket_number(ws->rec), CORE_LEAVE, name);
}

static PyObject *change_own(PyObject *self, PyObject *group,
                            PyObject *(*change)(live_ws_object *, PyObject *, const core_bytes *)) {
  core_bytes name;
  PyObject *key, *result;
  CORE_BEGIN_HOLD(self);
  key = group_key((live_ws_object *)self, group, &name);
  result = key ? change((live_ws_object *)self, key, &name) : NULL;
  CORE_END_HOLD();
  Py_XDECREF(key);
  return result;
}

PyObject *live_ws_join(PyObject *self, PyObject *group) { return change_own(self, group, join); }

PyObject *live_ws_leave(PyObject *self, PyObject *group) { return change_own(self, group, leave); }

/* --- groups of ASGI WebSockets ----------------------------------------------- */

static PyObject *change_group(PyObject *args, uint8_t kind) {
  unsigned long long socket;
  core_bytes name;
  if (!PyArg_ParseTuple(args, "KO&:groups", &socket, group_of, &name) || core_check_parent() < 0) return NULL;
  return tell_group(socket, kind, &name);
}

static PyObject *group_join(PyObject *module, PyObject *args) { return change_group(args, CORE_JOIN); }

static PyObject *group_leave(PyObject *module, PyObject *args) { return change_group(args, CORE_LEAVE); }

static PyObject *group_send(PyObject *module, PyObject *args) {
  PyObject *text;
  core_bytes name;
  core_message message;
  if (!PyArg_ParseTuple(args, "O&O:send", group_of, &name, &text) || core_read_message(text, &message) < 0) return NULL;
  PyObject *result = live_broadcast_to(CORE_PLACE_ASGI, &message, &name, live_largest_event());
  Py_DECREF(message.owner);
  return result;
}

static PyObject *group_count(PyObject *module, PyObject *args) {
  core_bytes name;
  if (!PyArg_ParseTuple(args, "O&:count", group_of, &name) || core_check_parent() < 0) return NULL;
  return count_of(CORE_PLACE_ASGI, &name);
}

PyMethodDef live_group_methods[] = {
    {"broadcast_all", broadcast_all, METH_VARARGS, "broadcast_all(websocket, message, group) -> as channel_publish."},
    {"websocket_count", websocket_count, METH_VARARGS,
     "websocket_count(websocket, group) -> number of connections in all processes."},
    {"group_join", group_join, METH_VARARGS,
     "group_join(socket, group): socket is the number in the scope of a WebSocket."},
    {"group_leave", group_leave, METH_VARARGS, "group_leave(socket, group): the same number."},
    {"group_send", group_send, METH_VARARGS, "group_send(group, message) -> as broadcast_all."},
    {"group_count", group_count, METH_VARARGS,
     "group_count(group) -> number of ASGI WebSockets in the group, in all processes."},
    {NULL, NULL, 0, NULL}};
