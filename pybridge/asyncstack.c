/* Stacks of the tasks of requests, and the end of overdue ones: stack.c for the asyncio thread. On any thread. */
#include "exchange.h"
#include "interp.h"
#include "stack.h"

#include <frameobject.h> /* PyFrame_Check, before Python 3.11 */

#define A fapws_the_async
#define DEEPEST 200 /* frames that are shown */
#define TASKS 16    /* maximum length of a chain of tasks that await each other */

/* Whether an attribute of o is in C: code of the application must not run while other threads are stopped. */
static int is_native(PyObject *o, const char *name) {
  PyTypeObject *type = Py_TYPE(o);
  if (Py_TYPE(type) != &PyType_Type || type->tp_getattro != PyObject_GenericGetAttr) return 0;
  PyObject *descriptor = PyObject_GetAttrString((PyObject *)type, name);
  int native = descriptor && (Py_TYPE(descriptor) == &PyGetSetDescr_Type || Py_TYPE(descriptor) == &PyMemberDescr_Type);
  Py_XDECREF(descriptor);
  PyErr_Clear();
  return native;
}

/* An attribute, or NULL without an exception if it is missing or None. */
static PyObject *attribute(PyObject *o, const char *name) {
  if (FAPWS_PARALLEL && !is_native(o, name)) return NULL;
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

/* Replaces *task by the future that it waits for, and returns its coroutine if that is a task. */
static PyObject *coroutine_behind(PyObject **task) {
  PyObject *future = attribute(*task, "_fut_waiter"), *coroutine = future ? attribute(future, "_coro") : NULL;
  Py_DECREF(*task);
  *task = future;
  return coroutine;
}

void fapws_await_chain(fapws_exchange *x, FILE *out) {
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
    fapws_write_frame(out, frames[--n]);
    Py_DECREF(frames[n]);
  }
}

static void take_snapshot(fapws_exchange *x, fapws_stack_snapshot *out) {
  out->rec = x->rec;
  out->serial = x->rec->serial;
  out->thread = -1;
  out->jobs = fapws_jobs_of(&A.thread);
  out->stack = NULL;
  out->stack_len = 0;
  FILE *f = open_memstream(&out->stack, &out->stack_len);
  if (!f) return;
  fapws_await_chain(x, f);
  fclose(f);
}

int fapws_async_sample_stacks(fapws_stack_snapshot *out, int max) {
  int found = 0;
  fapws_record *current = A.thread.current;
  if (current && A.thread.python && max > 0) fapws_take_snapshot(&A.thread, &out[found++]);
  for (fapws_exchange *x = A.live; x && found < max; x = x->next)
    if (x->rec && x->rec != current) take_snapshot(x, &out[found++]);
  return found;
}

int fapws_async_state_of(fapws_record *rec, int *thread) {
  *thread = A.thread.index;
  if (__atomic_load_n(&A.thread.current, __ATOMIC_RELAXED) == rec) return FAPWS_RUNNING;
  if (rec->closing) return FAPWS_ANSWERED;
  return rec->exchange ? FAPWS_AWAITING : rec->parked ? FAPWS_PARKED : FAPWS_WAITING;
}

static void find_alone(void *arg) {
  fapws_overdue *o = arg;
  fapws_exchange *x = o->rec->serial == o->serial ? o->rec->exchange : NULL;
  if (A.thread.python && o->rec->serial == o->serial && A.thread.current == o->rec) {
    fapws_take_snapshot(&A.thread, o->out);
    o->thread = &A.thread;
  } else if (x) {
    take_snapshot(x, o->out);
    fapws_post_event(o->rec, FAPWS_EVENT_OVERDUE);
    o->cancelled = 1;
  }
}

int fapws_async_raise_timeout(uintptr_t rec, uint32_t serial, fapws_stack_snapshot *out) {
  fapws_overdue o = {.rec = (fapws_record *)rec, .serial = serial, .out = out};
  fapws_raise_in_thread(&o, find_alone);
  return o.thread ? 2 : o.cancelled;
}

int fapws_async_is_stuck(uintptr_t number, uint32_t serial, int how, unsigned long jobs) {
  fapws_record *rec = (fapws_record *)number;
  fapws_lock();
  int stuck = how == 1
                  ? rec->serial == serial && (rec->events & FAPWS_EVENT_OVERDUE)
                  : __atomic_load_n(&A.thread.current, __ATOMIC_RELAXED) == rec && fapws_jobs_of(&A.thread) == jobs;
  fapws_unlock();
  return stuck;
}

unsigned long fapws_async_progress(void) {
  return __atomic_load_n(&A.turns, __ATOMIC_RELAXED) + fapws_jobs_of(&A.thread);
}

int fapws_async_is_stalled(unsigned long progress) {
  fapws_lock();
  int known = A.left_at == progress + 1;
  fapws_unlock();
  return !known && fapws_async_progress() == progress && !__atomic_load_n(&A.asleep, __ATOMIC_SEQ_CST) &&
         !__atomic_load_n(&A.thread.current, __ATOMIC_RELAXED);
}

void fapws_async_give_up(void) {
  fapws_lock();
  A.left_at = fapws_async_progress() + 1;
  fapws_unlock();
}

static void write_alone(void *out) {
  if (A.thread.python) fapws_write_stack(out, A.thread.python);
}

void fapws_async_take_snapshot(fapws_stack_snapshot *out) {
  PyGILState_STATE gil = PyGILState_Ensure();
  out->rec = NULL;
  out->stack = NULL;
  out->stack_len = 0;
  FILE *f = A.thread.python ? open_memstream(&out->stack, &out->stack_len) : NULL;
  if (f) {
    fapws_alone(write_alone, f);
    fclose(f);
  }
  PyGILState_Release(gil);
}
