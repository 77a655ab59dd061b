/* Messages between the Python code of all processes of the server (fapws._ipc). Messages are sent as broadcasts, so all
 * processes receive them in the same order. The event loop queues received messages, and the asyncio thread passes all
 * queued messages to Python in one call. */
#include "live.h"

#include <stdlib.h>
#include <string.h>

#define LARGEST (2 << 20)
#define MOST_WAITING (32 << 20) /* maximum memory of the queued messages, in bytes */

typedef struct message {
  struct message *next;
  size_t topic, len;
  char text[];
} message;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static message *first, *last; /* guarded by mu */
static size_t waiting;        /* guarded by mu: memory of the queued messages, in bytes */
static int losing;            /* guarded by mu: messages were dropped since the queue was last empty */

int live_ipc_put(const char *topic, size_t topic_len, const char *data, size_t n) {
  if (!__atomic_load_n(&asgi_the_thread.messages, __ATOMIC_RELAXED) || asgi_the_thread.event <= 0) return 1;
  size_t size = sizeof(message) + topic_len + n;
  message *l = malloc(size);
  if (!l) return 0;
  *l = (message){NULL, topic_len, n};
  memcpy(l->text, topic, topic_len);
  memcpy(l->text + topic_len, data, n);
  pthread_mutex_lock(&mu);
  int room = waiting + size <= MOST_WAITING, known = losing;
  if (room) {
    *(last ? &last->next : &first) = l;
    last = l;
    waiting += size;
  } else {
    losing = 1;
  }
  pthread_mutex_unlock(&mu);
  if (!room) return free(l), known;
  asgi_thread_wake();
  return 1;
}

static PyObject *as_list(message *l) {
  PyObject *list = PyList_New(0);
  for (message *next; l; l = next) {
    next = l->next;
    PyObject *pair =
        list ? Py_BuildValue("(s#y#)", l->text, (Py_ssize_t)l->topic, l->text + l->topic, (Py_ssize_t)l->len) : NULL;
    if (core_append(list, pair) < 0) Py_CLEAR(list);
    free(l);
  }
  return list;
}

/* Passes the queued messages to Python, on the asyncio thread. */
static void deliver(void) {
  pthread_mutex_lock(&mu);
  message *all = first;
  first = last = NULL;
  waiting = 0;
  losing = 0;
  pthread_mutex_unlock(&mu);
  if (!all) return;
  if (core_done(core_call("fapws._ipc", "_arrived", "(N)", as_list(all))) < 0)
    core_report("receiving messages of other processes", NULL);
}

static PyObject *ipc_post(PyObject *module, PyObject *args) {
  const char *topic;
  Py_ssize_t topic_len, n;
  const char *data;
  if (!PyArg_ParseTuple(args, "s#y#:ipc_post", &topic, &topic_len, &data, &n)) return NULL;
  core_message message = {NULL, data, n, CORE_OP_BINARY};
  core_bytes name = {topic, (uint32_t)topic_len};
  return live_broadcast_to(CORE_PLACE_PYTHON, &message, &name, LARGEST);
}

static PyObject *ipc_watch(PyObject *module, PyObject *none) {
  __atomic_store_n(&asgi_the_thread.messages, deliver, __ATOMIC_SEQ_CST);
  Py_RETURN_NONE;
}

PyMethodDef live_ipc_methods[] = {
    {"ipc_post", ipc_post, METH_VARARGS,
     "ipc_post(topic, data) -> as broadcast_all: sends a message to fapws._ipc in all processes."},
    {"ipc_watch", ipc_watch, METH_NOARGS, "ipc_watch(): delivers messages to fapws._ipc from now on."},
    {NULL, NULL, 0, NULL}};
