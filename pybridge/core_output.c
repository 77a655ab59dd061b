/* Makes the parts of responses. Only this file copies the bodies of responses. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define the_pool core_the_pool

void core_part_reset(core_part *p, core_record *rec) {
  char *buf = p->buf;
  uint32_t cap = p->cap;
  memset(p, 0, sizeof *p);
  p->buf = buf;
  p->cap = cap;
  p->rec = rec;
  p->ticket = rec->ticket;
  p->file = -1;
  p->length = -1;
}

int core_part_reserve(core_part *p, size_t n) {
  size_t want = (size_t)p->used + n;
  if (LIKELY(want <= p->cap)) return 0;
  size_t cap = p->cap ? p->cap : 512;
  while (cap < want && cap <= UINT32_MAX / 2) cap *= 2;
  char *buf = cap <= UINT32_MAX / 2 ? realloc(p->buf, cap) : NULL;
  if (!buf) return PyErr_NoMemory(), -1;
  p->buf = buf;
  p->cap = (uint32_t)cap;
  return 0;
}

core_part *core_part_new(core_record *rec, size_t room) {
  core_part *p = calloc(1, sizeof *p);
  if (!p) return PyErr_NoMemory(), NULL;
  core_part_reset(p, rec);
  if (room && core_part_reserve(p, room) < 0) {
    free(p);
    return NULL;
  }
  return p;
}

void core_part_delete(core_part *p) {
  Py_XDECREF((PyObject *)p->owner);
  free(p->buf);
  free(p);
}

int core_part_put(core_part *p, const char *data, size_t n, uint32_t *off, uint32_t *len) {
  if (core_part_reserve(p, n) < 0) return -1;
  if (n) memcpy(p->buf + p->used, data, n);
  *off = p->used;
  *len = (uint32_t)n;
  p->used += (uint32_t)n;
  return 0;
}

static int append_body(core_part *p, const char *data, size_t n) {
  uint32_t off, len;
  if (core_part_put(p, data, n, &off, &len) < 0) return -1;
  if (p->body_len == 0) p->body_off = off;
  p->body_len += n;
  return 0;
}

/* Returns a part whose body is a copy of n bytes, in the same allocation as the part, or NULL without an exception if
 * memory is exhausted. */
static core_part *part_with_copy(core_record *rec, const char *data, size_t n) {
  core_part *p = malloc(sizeof *p + n);
  if (!p) return NULL;
  p->buf = NULL;
  p->cap = 0;
  core_part_reset(p, rec);
  p->body = memcpy((char *)(p + 1), data, n);
  p->body_len = n;
  return p;
}

/* Creates a part with a body of n bytes from the object owner. The part contains a copy of the bytes if n is less than
 * CORE_COPY_BELOW, otherwise a reference to owner. */
static core_part *body_part(core_record *rec, PyObject *owner, const char *data, size_t n) {
  core_part *p = part_with_copy(rec, data, n < CORE_COPY_BELOW ? n : 0);
  if (!p) return PyErr_NoMemory(), NULL;
  if (n < CORE_COPY_BELOW) return p;
  p->body = data;
  p->body_len = n;
  p->owner = Py_NewRef(owner);
  return p;
}

int64_t core_fit_body(core_record *rec, int64_t n) {
  if (rec->run.bodyless || rec->run.whole) return 0;
  if (UNLIKELY(rec->run.declared >= 0 && rec->run.sent + n > rec->run.declared)) {
    core_log(rec, "body exceeds its Content-Length of %lld; truncated", (long long)rec->run.declared);
    n = rec->run.declared - rec->run.sent;
    rec->run.whole = 1;
  }
  rec->run.sent += n;
  return n;
}

int core_add_body(core_chain *c, PyObject *owner, const char *data, size_t n) {
  if ((n = (size_t)core_fit_body(c->rec, (int64_t)n)) == 0) return 0;
  core_part *p = c->last;
  int alone = !p || n >= CORE_COPY_BELOW;
  if (alone)
    p = body_part(c->rec, owner, data, n);
  else if (p->body || p->body_len + n > 4 * CORE_COPY_BELOW)
    p = core_part_new(c->rec, n);
  if (!p || (!alone && append_body(p, data, n) < 0)) {
    c->rec->run.sent -= (int64_t)n;
    return -1;
  }
  if (p != c->last) {
    *(c->last ? &c->last->next : &c->first) = p;
    c->last = p;
  }
  return 0;
}

void core_chain_abandon(core_chain *c) {
  for (core_part *p = c->first, *next; p; p = next) {
    next = p->next;
    if (p != &c->rec->part0) core_part_free((uintptr_t)p);
  }
  c->rec->part0.next = NULL;
}

int core_body_is_short(core_record *rec) {
  if (LIKELY(rec->run.bodyless || rec->run.declared <= rec->run.sent)) return 0;
  core_log(rec, "body has %lld bytes, but its Content-Length is %lld", (long long)rec->run.sent,
           (long long)rec->run.declared);
  return 1;
}

core_part *core_close_frame(core_record *rec, int code, const char *reason, size_t n) {
  core_part *p = part_with_copy(rec, reason, n);
  if (!p) return NULL;
  p->op = CORE_OP_CLOSE;
  p->number = code;
  return p;
}

int core_read_text(PyObject *o, core_message *m, const char *wrong) {
  m->op = CORE_OP_BINARY;
  m->owner = NULL;
  if (LIKELY(PyBytes_Check(o))) {
    m->owner = Py_NewRef(o);
  } else if (PyUnicode_Check(o)) {
    m->op = CORE_OP_TEXT;
    if (!(m->data = PyUnicode_AsUTF8AndSize(o, &m->len))) return -1;
    m->owner = Py_NewRef(o);
    return 0;
  } else if (PyByteArray_Check(o) || PyMemoryView_Check(o)) {
    /* A copy, because the application can change the object while the message is sent. */
    if (!(m->owner = PyBytes_FromObject(o))) return -1;
  } else {
    return core_raise(PyExc_TypeError, wrong, Py_TYPE(o)->tp_name, o);
  }
  m->data = PyBytes_AS_STRING(m->owner);
  m->len = PyBytes_GET_SIZE(m->owner);
  return 0;
}

int core_read_message(PyObject *o, core_message *m) {
  return core_read_text(o, m, "a message must be str or bytes, not %.100s");
}

core_part *core_part_of(core_record *rec, const core_message *m) {
  core_part *p = body_part(rec, m->owner, m->data, (size_t)m->len);
  if (p) p->op = (uint8_t)m->op;
  return p;
}

core_part *core_message_part(core_record *rec, PyObject *o) {
  core_message m;
  core_part *p = core_read_message(o, &m) < 0 ? NULL : core_part_of(rec, &m);
  Py_XDECREF(m.owner);
  return p;
}

int core_sendable_code(long code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

/* --- to the event loop; without the GIL ----------------------------------
 *
 * Publishes finished parts, and wakes the event loop for them.
 *
 * If the event loop does not sleep, it takes published parts at once. Waking the event loop costs two system calls and
 * a thread switch, so the event loop is woken after each slow handler, but only once after several quick handlers. */

#define UNSIGNALLED_MAX 256 /* maximum number of finished parts before the event loop is woken */

void core_signal_loop(void) {
  int32_t *state = __atomic_load_n(&the_pool.loop_state, __ATOMIC_ACQUIRE);
  if (__atomic_exchange_n(state, CORE_LOOP_CALLED, __ATOMIC_SEQ_CST) != CORE_LOOP_ASLEEP) return;
  while (eventfd_write(the_pool.event_fd, 1) < 0 && errno == EINTR) {
  }
}

void core_wake_loop(void) {
  if (__atomic_exchange_n(&the_pool.shared.wake_pending, 1, __ATOMIC_SEQ_CST) != 0) return;
  core_signal_loop();
}

#ifdef __SANITIZE_THREAD__
/* Go takes finished parts by its own atomic operations, which ThreadSanitizer does not know. ThreadSanitizer does know
 * the variable _cgo_sync, on which cgo synchronizes at each call from Go. */
long long _cgo_sync __attribute__((common));
void __tsan_release(void *);
static void before_go(void) { __tsan_release(&_cgo_sync); }
#else
static void before_go(void) {}
#endif

/* Number of bytes for which a part counts in record.run.unacked in addition to its body, because the part itself uses
 * memory in C and in Go. Otherwise small chunks and messages that wait for a slow client could use hundreds of
 * megabytes. A message counts less than a chunk, because a client for which many messages wait is disconnected
 * (live_object.c). */
static const int64_t part_cost[] = {
    [CORE_OP_BODY] = 256, [CORE_OP_TEXT] = 64, [CORE_OP_BINARY] = 64, [CORE_OP_DEFERRED] = 0};

void core_push_part(core_part *p) {
  if (!p->body && p->body_len) p->body = p->buf + p->body_off;
  p->taken = p->last && p->rec->run.taken;
  core_record *rec = p->rec;
  if (UNLIKELY(rec->req.timed) && (p->first || p->last)) p->made_ns = core_now_ns();
  int64_t size = (int64_t)p->body_len + p->count + part_cost[p->op];
  p->unacked = size;
  __atomic_add_fetch(&rec->run.unacked, size, __ATOMIC_RELAXED);
  if (UNLIKELY(rec->req.pipeline != NULL)) {
    __atomic_add_fetch(&rec->req.pipeline->unacked, size, __ATOMIC_SEQ_CST);
    if (p->last && rec->run.counted) __atomic_sub_fetch(&rec->req.pipeline->running, 1, __ATOMIC_SEQ_CST);
  }
  if (UNLIKELY(p->body_len >= CORE_COPY_BELOW)) {
    p->unseen = 1;
    core_mount *m = core_mount_of(rec);
    int64_t large = __atomic_load_n(&m->large, __ATOMIC_RELAXED);
    __atomic_store_n(&m->large, large - large / 8 > (int64_t)p->body_len ? large - large / 8 : (int64_t)p->body_len,
                     __ATOMIC_RELAXED);
    __atomic_add_fetch(&the_pool.shared.unseen, (int64_t)p->body_len, __ATOMIC_SEQ_CST);
  }
  core_part *old = __atomic_load_n(&the_pool.shared.done, __ATOMIC_RELAXED);
  do {
    p->next = old;
    before_go();
  } while (!__atomic_compare_exchange_n(&the_pool.shared.done, &old, p, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

void core_publish(core_thread *t, core_part *p) {
  core_push_part(p);
  if (++t->unsignalled >= UNSIGNALLED_MAX) core_notify(t);
}

void core_publish_chain(core_thread *t, const core_chain *c) {
  for (core_part *p = c->first, *next; p; p = next) {
    next = p->next;
    core_publish(t, p);
  }
}

void core_notify(core_thread *t) {
  if (t->unsignalled == 0) return;
  t->unsignalled = 0;
  t->unsignalled_ns = 0;
  t->mode->wake_loop();
}

uint64_t core_notify_after(const core_mount *m) {
  uint64_t quarter = __atomic_load_n(&the_pool.shared.queued, __ATOMIC_RELAXED) * core_run_ns(m) / 4;
  if (quarter < CORE_UNSIGNALLED_NS) return CORE_UNSIGNALLED_NS;
  return quarter < 8 * CORE_UNSIGNALLED_NS ? quarter : 8 * CORE_UNSIGNALLED_NS;
}

/* --- parts that own a Python object --------------------------------------
 *
 * The event loop runs without the GIL, so it cannot free parts that own a Python object. It puts these parts on a
 * stack, and a thread that has the GIL frees them later. */

#define GARBAGE_BYTES (1 << 20) /* if the released objects have this size, a thread frees them soon */

static int64_t garbage_bytes;

int core_garbage_is_large(void) { return __atomic_load_n(&garbage_bytes, __ATOMIC_RELAXED) >= GARBAGE_BYTES; }

void core_part_free(uintptr_t number) {
  CORE_CHECK(CORE_SERVING | CORE_ENDED);
  core_part *part = (core_part *)number;
  if (!part->owner) {
    free(part->buf);
    free(part);
    return;
  }
  /* Once the part is in the list the_pool.garbage, another thread can free it (core_collect_garbage): its size must
   * have been added, and its record must have been read. */
  const core_mode *mode = core_mode_of(part->rec);
  int64_t held = __atomic_add_fetch(&garbage_bytes, (int64_t)part->body_len, __ATOMIC_RELAXED);
  __atomic_add_fetch(&the_pool.shared.unseen, (int64_t)part->body_len, __ATOMIC_SEQ_CST);
  core_part *old = __atomic_load_n(&the_pool.garbage, __ATOMIC_RELAXED);
  do {
    part->next = old;
  } while (!__atomic_compare_exchange_n(&the_pool.garbage, &old, part, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
  if (held < GARBAGE_BYTES) return;
  mode->collect(); /* frees the objects soon, because an idle server must not keep large objects */
}

void core_collect_garbage(void) {
  if (LIKELY(!__atomic_load_n(&the_pool.garbage, __ATOMIC_RELAXED))) return;
  core_part *p = __atomic_exchange_n(&the_pool.garbage, NULL, __ATOMIC_ACQUIRE);
  int64_t freed = 0;
  while (p) {
    core_part *next = p->next;
    freed += (int64_t)p->body_len;
    core_part_delete(p);
    p = next;
  }
  __atomic_sub_fetch(&garbage_bytes, freed, __ATOMIC_RELAXED);
  int64_t left = __atomic_sub_fetch(&the_pool.shared.unseen, freed, __ATOMIC_SEQ_CST);
  if (left <= the_pool.shared.unseen_max && left + freed > the_pool.shared.unseen_max) core_may_start();
}
