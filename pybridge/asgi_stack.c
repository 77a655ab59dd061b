/* Stacks and timeouts of the tasks that run requests. The functions can be called on any thread. */
#include "asgi.h"

#include <frameobject.h> /* declares PyFrame_Check before Python 3.11 */

#define the_thread asgi_the_thread
#define DEEPEST 200
#define TASKS 16 /* maximum length of a chain of tasks that await each other */

/* Whether an attribute of o is implemented in C. An attribute implemented in Python would run code of the application,
 * which is forbidden while all other threads are stopped. */
static int is_native(PyObject *o, const char *name) {
  PyTypeObject *type = Py_TYPE(o);
  if (Py_TYPE(type) != &PyType_Type || type->tp_getattro != PyObject_GenericGetAttr) return 0;
  PyObject *descriptor = PyObject_GetAttrString((PyObject *)type, name);
  int native = descriptor && (Py_TYPE(descriptor) == &PyGetSetDescr_Type || Py_TYPE(descriptor) == &PyMemberDescr_Type);
  Py_XDECREF(descriptor);
  PyErr_Clear();
  return native;
}

/* Returns an attribute of o, or NULL without an exception if the attribute is missing or None. */
static PyObject *attribute(PyObject *o, const char *name) {
  if (CORE_PARALLEL && !is_native(o, name)) return NULL;
  PyObject *value = PyObject_GetAttrString(o, name);
  if (value == Py_None) Py_CLEAR(value);
  PyErr_Clear();
  return value;
}

static PyObject *first_of(PyObject *o, const char *const *names) {
  for (PyObject *value; *names; names++)
    if ((value = attribute(o, *names))) return value;
  return NULL;
}

static const char *const frame_names[] = {"cr_frame", "gi_frame", "ag_frame", NULL};
static const char *const await_names[] = {"cr_await", "gi_yieldfrom", "ag_await", NULL};

/* The parameter task points to a task. Replaces the task by the future that the task awaits, or by NULL if the task
 * awaits nothing. If the future is itself a task, returns the coroutine of the future, otherwise NULL. */
static PyObject *coroutine_behind(PyObject **task) {
  PyObject *future = attribute(*task, "_fut_waiter"), *coroutine = future ? attribute(future, "_coro") : NULL;
  Py_DECREF(*task);
  *task = future;
  return coroutine;
}

static void await_chain(asgi_exchange *x, FILE *out) {
  PyObject *frames[DEEPEST], *o = x->inner, *task = x->task;
  int n = 0;
  Py_XINCREF(o);
  Py_XINCREF(task);
  for (int tasks = 0; o && tasks < TASKS; tasks++) {
    while (o && n < DEEPEST) {
      PyObject *frame = first_of(o, frame_names), *next = first_of(o, await_names);
      if (frame && PyFrame_Check(frame))
        frames[n++] = frame;
      else
        Py_XDECREF(frame);
      Py_DECREF(o);
      o = next;
    }
    Py_XDECREF(o);
    o = task ? coroutine_behind(&task) : NULL;
  }
  Py_XDECREF(o);
  Py_XDECREF(task);
  while (n) {
    core_write_frame(out, frames[--n]);
    Py_DECREF(frames[n]);
  }
}

static void take_snapshot(asgi_exchange *x, core_snapshot *out) {
  FILE *f = core_begin_snapshot(out, x->rec, -1, core_jobs_of(&the_thread.thread));
  if (!f) return;
  await_chain(x, f);
  fclose(f);
}

static int sample_tasks(core_snapshot *out, int max) {
  int found = 0;
  core_record *current = the_thread.thread.current;
  if (current && the_thread.thread.python && max > 0) core_take_snapshot(&the_thread.thread, &out[found++]);
  for (asgi_exchange *x = the_thread.live; x && found < max; x = x->next)
    if (x->rec && x->rec != current) take_snapshot(x, &out[found++]);
  return found;
}

struct sample {
  core_snapshot *out;
  int max, found;
};

static void sample_alone(void *arg) {
  struct sample *s = arg;
  s->found = core_sample_threads(s->out, s->max);
  s->found += sample_tasks(s->out + s->found, s->max - s->found);
}

int asgi_sample_stacks(core_snapshot *out, int max) {
  struct sample s = {out, max, 0};
  CORE_WITH_GIL(CORE_SERVING);
  core_alone(sample_alone, &s);
  return s.found;
}

int asgi_state_of(core_record *rec, int *thread) {
  *thread = the_thread.thread.index;
  if (__atomic_load_n(&the_thread.thread.current, __ATOMIC_RELAXED) == rec) return CORE_RUNNING;
  if (rec->inputs.closing) return CORE_ANSWERED;
  return rec->run.exchange ? CORE_AWAITING : rec->run.parked ? CORE_PARKED : CORE_WAITING;
}

static void find_alone(void *arg) {
  core_overdue *o = arg;
  asgi_exchange *x = o->rec->serial == o->serial ? o->rec->run.exchange : NULL;
  if (the_thread.thread.python && o->rec->serial == o->serial && the_thread.thread.current == o->rec) {
    core_take_snapshot(&the_thread.thread, o->out);
    o->thread = &the_thread.thread;
  } else if (x) {
    take_snapshot(x, o->out);
    asgi_post_event(o->rec, ASGI_EVENT_OVERDUE);
    o->cancelled = 1;
  }
}

int asgi_raise_timeout(uintptr_t rec, uint32_t serial, core_snapshot *out) {
  core_overdue o = {.rec = (core_record *)rec, .serial = serial, .out = out};
  core_raise_in_thread(&o, find_alone);
  return o.thread ? 2 : o.cancelled;
}

int asgi_is_stuck(uintptr_t number, uint32_t serial, int raised, unsigned long jobs) {
  core_record *rec = (core_record *)number;
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  CORE_LOCKED();
  return raised == 1 ? rec->serial == serial && (rec->inputs.events & ASGI_EVENT_OVERDUE)
                     : __atomic_load_n(&the_thread.thread.current, __ATOMIC_RELAXED) == rec &&
                           core_jobs_of(&the_thread.thread) == jobs;
}

unsigned long asgi_progress(void) {
  return __atomic_load_n(&the_thread.turns, __ATOMIC_RELAXED) + core_jobs_of(&the_thread.thread);
}

int asgi_is_stalled(unsigned long progress) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  CORE_LOCKED();
  return the_thread.left_at != progress + 1 && asgi_progress() == progress &&
         !__atomic_load_n(&the_thread.asleep, __ATOMIC_SEQ_CST) &&
         !__atomic_load_n(&the_thread.thread.current, __ATOMIC_RELAXED);
}

void asgi_give_up(void) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  CORE_LOCKED();
  the_thread.left_at = asgi_progress() + 1;
}

static void write_alone(void *out) {
  if (the_thread.thread.python) core_write_stack(out, the_thread.thread.python);
}

void asgi_take_snapshot(core_snapshot *out) {
  CORE_WITH_GIL(CORE_LOADING | CORE_SERVING);
  *out = (core_snapshot){.rec = NULL};
  FILE *f = the_thread.thread.python ? open_memstream(&out->stack, &out->stack_len) : NULL;
  if (f) {
    core_alone(write_alone, f);
    fclose(f);
  }
}
