/* Channels for Python: publishing events, the response that makes a client a subscriber, the numbers of subscribers,
 * and callbacks about them. contrib/fapws/_channels.py has the public names and checks their arguments. */
#include "interp.h"
#include "messages.h"

#include <stdlib.h>
#include <string.h>

#define P fapws_the_pool
#define MOST_WAITING (8 << 20) /* maximum bytes of events that the server has not accepted yet (Handler.Dealt) */
#define LONGEST_ID 32          /* maximum length of an id that the server assigns */

/* --- events ------------------------------------------------------------------ */

static int text_of(PyObject *o, fapws_bytes *out) {
  Py_ssize_t n;
  out->text = PyUnicode_AsUTF8AndSize(o, &n);
  if (!out->text) return -1;
  if (n > INT32_MAX / 2) return PyErr_SetString(PyExc_ValueError, "text too long"), -1;
  out->len = (uint32_t)n;
  return 0;
}

/* The size of an event as it is sent, within a few bytes. */
static int64_t sent_size(const fapws_bytes *id, const fapws_bytes *type, const fapws_bytes *data) {
  int64_t lines = 1, ends = 0; /* and the bytes that end them */
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

/* Reserves cost bytes for events: 1. 0: too many wait, retry. -1: too many wait, only this thread can accept them. */
static int reserve(int64_t cost) {
  /* Added by one thread at a time, subtracted by the event loop. */
  int64_t waiting = __atomic_load_n(&P.shared.event_bytes, __ATOMIC_RELAXED);
  if (waiting > 0 && waiting + cost > MOST_WAITING) /* a single event may be larger */
    return __atomic_load_n(&P.signal_fd, __ATOMIC_RELAXED) <= 0 ||
                   (fapws_this_thread && !fapws_this_thread->mode->may_wait)
               ? -1
               : 0;
  __atomic_add_fetch(&P.shared.event_bytes, cost, __ATOMIC_RELAXED);
  return 1;
}

/* Notes that an event was sent to the event loop: the exchange that published it sends its further output after the
 * event (order.go). A thread or task of the application belongs to no exchange: all exchanges wait for its events. */
static void note_published(int64_t cost) {
  int64_t events = __atomic_add_fetch(&P.shared.events, cost, __ATOMIC_SEQ_CST);
  fapws_record *rec = fapws_this_thread ? fapws_this_thread->current : NULL;
  __atomic_store_n(rec ? &rec->event : &P.shared.others_event, events, __ATOMIC_RELAXED);
}

PyObject *fapws_publish_event(uint8_t kind, const fapws_bytes *texts, int n, int64_t cost) {
  int room, bad;
  FAPWS_BEGIN_ONE(); /* events are counted in the order in which they are sent */
  room = reserve(cost);
  bad = room > 0 && fapws_enqueue_message(kind, texts, n) < 0;
  if (room > 0 && !bad) note_published(cost);
  if (bad) __atomic_sub_fetch(&P.shared.event_bytes, cost, __ATOMIC_RELAXED);
  FAPWS_END_ONE();
  if (bad) return NULL;
  if (room < 0) Py_RETURN_NONE;
  return PyBool_FromLong(room);
}

/* channel_publish(name, id, type, data): the result of fapws_publish_event. */
PyObject *fapws_channel_publish(PyObject *module, PyObject *args) {
  PyObject *name, *id, *type, *data;
  if (!PyArg_ParseTuple(args, "UUUU:channel_publish", &name, &id, &type, &data)) return NULL;
  if (fapws_forked)
    return PyErr_Format(PyExc_RuntimeError,
                        "publish: a child process of the server cannot publish; send the event to its parent instead");
  fapws_bytes texts[4];
  if (text_of(name, &texts[0]) < 0 || text_of(id, &texts[1]) < 0 || text_of(type, &texts[2]) < 0 ||
      text_of(data, &texts[3]) < 0)
    return NULL;
  int most = P.max_event > 0 ? P.max_event : FAPWS_LARGEST_EVENT;
  int64_t size = sent_size(&texts[1], &texts[2], &texts[3]);
  if (size > most)
    return PyErr_Format(PyExc_ValueError, "publish: the event takes %lld bytes as sent; --channel-max-event allows %d",
                        (long long)size, most);
  int64_t cost = (int64_t)texts[0].len + texts[1].len + texts[2].len + texts[3].len + FAPWS_EVENT_COST;
  return fapws_publish_event(FAPWS_EVENT, texts, 4, cost);
}

/* --- the response ------------------------------------------------------------ */

/* channel_answer(names, start, headers): the return value of a handler. */
PyObject *fapws_channel_answer(PyObject *module, PyObject *args) {
  PyObject *names, *start, *headers;
  if (!PyArg_ParseTuple(args, "USO!:channel_answer", &names, &start, &PyTuple_Type, &headers)) return NULL;
  fapws_channel_object *c = PyObject_New(fapws_channel_object, &fapws_ChannelAnswer_Type);
  if (!c) return NULL;
  c->names = Py_NewRef(names);
  c->start = Py_NewRef(start);
  c->headers = Py_NewRef(headers);
  return (PyObject *)c;
}

/* In PATHS, it is called as a WSGI application and returns itself, or refuses the method. */
static PyObject *channel_call(PyObject *self, PyObject *args, PyObject *kw) {
  PyObject *environ, *start;
  if (!PyArg_ParseTuple(args, "OO:channel", &environ, &start)) return NULL;
  PyObject *method = PyMapping_GetItemString(environ, "REQUEST_METHOD");
  if (!method) return NULL;
  int reads = PyUnicode_Check(method) && (PyUnicode_CompareWithASCIIString(method, "GET") == 0 ||
                                          PyUnicode_CompareWithASCIIString(method, "HEAD") == 0);
  Py_DECREF(method);
  return reads ? Py_NewRef(self) : fapws_call("fapws._channels", "_refuse", "(OO)", environ, start);
}

static void channel_dealloc(PyObject *self) {
  fapws_channel_object *c = (fapws_channel_object *)self;
  Py_XDECREF(c->names);
  Py_XDECREF(c->start);
  Py_XDECREF(c->headers);
  PyObject_Free(self);
}

static PyObject *channel_repr(PyObject *self) {
  return PyUnicode_FromFormat("channel(%R)", ((fapws_channel_object *)self)->names);
}

PyTypeObject fapws_ChannelAnswer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_fapws.ChannelAnswer",
    .tp_basicsize = sizeof(fapws_channel_object),
    .tp_dealloc = channel_dealloc,
    .tp_repr = channel_repr,
    .tp_call = channel_call,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A response that makes the client a subscriber of channels; fapws.channel returns it.",
};

int fapws_channel_head(fapws_start_object *s, PyObject *answer) {
  const fapws_channel_object *c = (const fapws_channel_object *)answer;
  PyObject *name = PyUnicode_FromString("Fapws-Channel");
  if (!name) return -1;
  int bad = fapws_start_settle(s) < 0;
  if (!bad) {
    Py_CLEAR(s->list);
    fapws_forget_channel(s);
    s->length = -1;
    s->status = 200;
    Py_CLEAR(s->reason);
    bad = fapws_add_fields(s, c->headers) < 0 || fapws_add_field(s, name, c->names) < 0;
  }
  Py_DECREF(name);
  return bad ? -1 : 0;
}

/* --- numbers of subscribers ---------------------------------------------------
 *
 * A table by name, written by the event loop and read under the GIL. */

typedef struct entry {
  struct entry *next;
  uint32_t hash, len;
  int64_t here, elsewhere;
  char name[];
} entry;

static pthread_mutex_t table_mu = PTHREAD_MUTEX_INITIALIZER; /* held for a moment */
static entry **table;
static size_t buckets, entries;

static uint32_t hash_of(const char *name, size_t len) { /* FNV-1a */
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
  return h;
}

/* The pointer to the entry, or the place for it. table_mu is held, buckets > 0. */
static entry **find(const char *name, size_t len, uint32_t hash) {
  entry **at = &table[hash & (buckets - 1)];
  while (*at && ((*at)->hash != hash || (*at)->len != len || memcmp((*at)->name, name, len) != 0)) at = &(*at)->next;
  return at;
}

static int widen(void) {
  size_t more = buckets ? 2 * buckets : 64;
  entry **wider = calloc(more, sizeof *wider);
  if (!wider) return buckets ? 0 : -1; /* longer chains */
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

void fapws_count_subscribers(const char *name, size_t len, int elsewhere, int64_t subscribers) {
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

int64_t fapws_subscriber_count(const char *name, size_t len) {
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

PyObject *fapws_channel_subscribers(PyObject *module, PyObject *arg) {
  fapws_bytes name;
  if (text_of(arg, &name) < 0) return NULL;
  if (fapws_forked)
    return PyErr_Format(PyExc_RuntimeError, "subscribers: not available in a child process of the server");
  return PyLong_FromLongLong(fapws_subscriber_count(name.text, name.len));
}

/* --- callbacks ---------------------------------------------------------------- */

PyObject *fapws_channel_watch(PyObject *module, PyObject *none) {
  __atomic_store_n(&P.shared.watched, 1, __ATOMIC_SEQ_CST);
  Py_RETURN_NONE;
}

/* The callable of the mount for presence events: the event loop submits them as a request, so callbacks run where
 * handlers run. */
static PyObject *noticed(PyObject *self, PyObject *args) {
  PyObject *environ, *start;
  if (!PyArg_ParseTuple(args, "O!O", &PyDict_Type, &environ, &start)) return NULL;
  PyObject *input = PyDict_GetItemString(environ, "wsgi.input"); /* borrowed */
  PyObject *text = input ? PyObject_CallMethod(input, "read", NULL) : NULL;
  PyObject *done = text ? fapws_call("fapws._channels", "_noticed", "(O)", text) : NULL;
  Py_XDECREF(text);
  if (!done) return NULL;
  Py_DECREF(done);
  return PyBytes_FromString("");
}

PyObject *fapws_presence_handler(void) {
  static PyMethodDef method = {"noticed", noticed, METH_VARARGS,
                               "Runs the functions that on_join and on_leave registered."};
  return PyCFunction_New(&method, NULL);
}
