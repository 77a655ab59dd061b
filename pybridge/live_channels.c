/* Channels for Python code: publishing events, counting subscribers, and presence callbacks. contrib/fapws/_channels.py
 * has the public functions, which check their arguments. */
#include "live.h"

#include <stdlib.h>
#include <string.h>

#define the_pool core_the_pool
#define LONGEST_ID 32 /* maximum length of an event ID that the server assigns */

static int text_of(PyObject *o, core_bytes *out) {
  Py_ssize_t n;
  out->text = PyUnicode_AsUTF8AndSize(o, &n);
  if (!out->text) return -1;
  if (n > INT32_MAX / 2) return core_raise(PyExc_ValueError, "text too long");
  out->len = (uint32_t)n;
  return 0;
}

static int64_t sent_size(const core_bytes *id, const core_bytes *type, const core_bytes *data) {
  int64_t lines = 1, ends = 0;
  for (uint32_t i = 0; i < data->len; i++) {
    char c = data->text[i];
    if (c != '\n' && c != '\r') continue;
    if (c == '\r' && i + 1 < data->len && data->text[i + 1] == '\n') i++, ends++;
    lines++;
    ends++;
  }
  int64_t size = (int64_t)sizeof "id: \n\n" - 1 + (id->len ? id->len : LONGEST_ID) + data->len - ends;
  if (type->len) size += (int64_t)sizeof "event: \n" - 1 + type->len;
  return size + lines * ((int64_t)sizeof "data: \n" - 1);
}

static PyObject *channel_publish(PyObject *module, PyObject *args) {
  PyObject *name, *id, *type, *data;
  if (!PyArg_ParseTuple(args, "UUUU:channel_publish", &name, &id, &type, &data)) return NULL;
  if (core_forked)
    return PyErr_Format(PyExc_RuntimeError,
                        "publish: a child process of the server cannot publish; send the event to its parent instead");
  core_bytes texts[4];
  if (text_of(name, &texts[0]) < 0 || text_of(id, &texts[1]) < 0 || text_of(type, &texts[2]) < 0 ||
      text_of(data, &texts[3]) < 0)
    return NULL;
  int most = live_largest_event();
  int64_t size = sent_size(&texts[1], &texts[2], &texts[3]);
  if (size > most)
    return PyErr_Format(PyExc_ValueError, "publish: the event takes %lld bytes as sent; --channel-max-event allows %d",
                        (long long)size, most);
  return core_publish_event(CORE_EVENT, texts, 4);
}

/* --- numbers of subscribers ---------------------------------------------------
 *
 * A hash table from the name of a channel to its numbers of subscribers. The event loop changes the table, and threads
 * that run Python read it. */

typedef struct entry {
  struct entry *next;
  uint32_t hash, len;
  int64_t here, elsewhere;
  char name[];
} entry;

static pthread_mutex_t table_mu = PTHREAD_MUTEX_INITIALIZER;
static entry **table;
static size_t buckets, entries;

static uint32_t hash_of(const char *name, size_t len) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
  return h;
}

/* Returns the address of the pointer to the entry for name, or the address at which to insert the entry. The caller
 * must hold table_mu, and buckets must not be 0. */
static entry **find(const char *name, size_t len, uint32_t hash) {
  entry **at = &table[hash & (buckets - 1)];
  while (*at && ((*at)->hash != hash || (*at)->len != len || memcmp((*at)->name, name, len) != 0)) at = &(*at)->next;
  return at;
}

static int widen(void) {
  size_t more = buckets ? 2 * buckets : 64;
  entry **wider = calloc(more, sizeof *wider);
  if (!wider) return buckets ? 0 : -1; /* if memory is exhausted, the table keeps its size */
  for (size_t i = 0; i < buckets; i++) {
    for (entry *e = table[i], *next; e; e = next) {
      next = e->next;
      e->next = wider[e->hash & (more - 1)];
      wider[e->hash & (more - 1)] = e;
    }
  }
  free(table);
  table = wider;
  buckets = more;
  return 0;
}

void live_count_subscribers(const char *name, size_t len, int elsewhere, int64_t subscribers) {
  uint32_t hash = hash_of(name, len);
  pthread_mutex_lock(&table_mu);
  if (entries < buckets || widen() == 0) {
    entry **at = find(name, len, hash), *e = *at;
    if (!e && subscribers > 0 && (e = malloc(sizeof *e + len))) {
      *e = (entry){NULL, hash, (uint32_t)len, 0, 0};
      memcpy(e->name, name, len);
      *at = e;
      entries++;
    }
    if (e) *(elsewhere ? &e->elsewhere : &e->here) = subscribers;
    if (e && e->here <= 0 && e->elsewhere <= 0) {
      *at = e->next;
      free(e);
      entries--;
    }
  }
  pthread_mutex_unlock(&table_mu);
}

int64_t live_subscriber_count(const char *name, size_t len) {
  int64_t n = 0;
  uint32_t hash = hash_of(name, len);
  pthread_mutex_lock(&table_mu);
  if (buckets) {
    const entry *e = *find(name, len, hash);
    if (e) n = e->here + e->elsewhere;
  }
  pthread_mutex_unlock(&table_mu);
  return n;
}

static PyObject *channel_subscribers(PyObject *module, PyObject *arg) {
  core_bytes name;
  if (text_of(arg, &name) < 0) return NULL;
  if (core_forked)
    return PyErr_Format(PyExc_RuntimeError, "subscribers: not available in a child process of the server");
  return PyLong_FromLongLong(live_subscriber_count(name.text, name.len));
}

static PyObject *channel_watch(PyObject *module, PyObject *none) {
  __atomic_store_n(&the_pool.shared.watched, 1, __ATOMIC_SEQ_CST);
  Py_RETURN_NONE;
}

/* Runs the callbacks of on_join and on_leave. This WSGI application receives presence events in the bodies of the
 * requests that presenceQueue.step submits. */
static PyObject *noticed(PyObject *self, PyObject *args) {
  PyObject *environ, *start;
  if (!PyArg_ParseTuple(args, "O!O", &PyDict_Type, &environ, &start)) return NULL;
  PyObject *input = PyDict_GetItemString(environ, "wsgi.input"); /* borrowed */
  PyObject *text = input ? PyObject_CallMethod(input, "read", NULL) : NULL;
  if (!text || core_done(core_call("fapws._channels", "_noticed", "(N)", text)) < 0) return NULL;
  return PyBytes_FromString("");
}

PyObject *live_presence_handler(void) {
  static PyMethodDef method = {"noticed", noticed, METH_VARARGS,
                               "Runs the functions that on_join and on_leave registered."};
  return PyCFunction_New(&method, NULL);
}

/* --- the cache: fapws.cache.purge --------------------------------------- */

#define MOST (1 << 17) /* maximum bytes of waiting patterns; with more, the event loop purges the whole cache */

static PyObject *cache_purge(PyObject *module, PyObject *arg) {
  static const char everything[] = "{\"path\":\"*\"}";
  Py_ssize_t n;
  const char *text = PyUnicode_AsUTF8AndSize(arg, &n);
  if (!text) return NULL;
  if (core_forked) return PyErr_Format(PyExc_RuntimeError, "purge: not available in a child process of the server");
  uint32_t waiting =
      /* bytes of the patterns that the event loop has not taken; it sets purges to 0 before it takes the patterns */
      __atomic_load_n(&the_pool.shared.purges, __ATOMIC_RELAXED);
  if (waiting > MOST) Py_RETURN_NONE;
  __atomic_fetch_add(&the_pool.shared.purges, (uint32_t)n, __ATOMIC_SEQ_CST);
  core_bytes pattern = {text, (uint32_t)n};
  if (waiting + (size_t)n > MOST) {
    __atomic_store_n(&the_pool.shared.purges, MOST + 1, __ATOMIC_SEQ_CST);
    pattern = (core_bytes){everything, sizeof everything - 1};
  }
  if (core_enqueue_message(CORE_PURGE, &pattern, 1) < 0) return NULL;
  Py_RETURN_NONE;
}

PyMethodDef live_channel_methods[] = {
    {"channel_publish", channel_publish, METH_VARARGS,
     "channel_publish(name, id, type, data) -> True: queued; False: the queue is full, retry; None: the queue is full, "
     "and only this thread can drain it."},
    {"channel_subscribers", channel_subscribers, METH_O,
     "channel_subscribers(name) -> number of subscribers in all processes."},
    {"channel_watch", channel_watch, METH_NOARGS,
     "channel_watch(): reports new and lost subscribers to fapws._channels from now on."},
    {"cache_purge", cache_purge, METH_O,
     "cache_purge(pattern): removes pages from the cache; a pattern is JSON, see fapws.cache.purge."},
    {NULL, NULL, 0, NULL}};
