/* Stacks of Python threads, and fapws.Timeout for handlers that take too long. On any thread; it takes the GIL where it
 * needs it.
 *
 * thread.current is the record whose code a thread runs. It changes under the GIL only, so with the GIL, and alone
 * (parallel.h), a Timeout cannot hit another request. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "interp.h"
#include "kind.h"
#include "stack.h"

#include <frameobject.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define P fapws_the_pool
#define DEEPEST 200 /* maximum number of frames */

PyObject *fapws_timeout;
__thread fapws_thread *fapws_this_thread;

/* --- stacks ---------------------------------------------------------------- */

#if PY_VERSION_HEX < 0x03090000
static PyFrameObject *top_frame(PyThreadState *state) { return (PyFrameObject *)Py_XNewRef(state->frame); }

static PyFrameObject *caller(PyFrameObject *frame) { return (PyFrameObject *)Py_XNewRef(frame->f_back); }

static PyObject *code_of(PyFrameObject *frame) { return Py_NewRef(frame->f_code); }
#else
#define top_frame PyThreadState_GetFrame
#define caller PyFrame_GetBack
#define code_of(frame) ((PyObject *)PyFrame_GetCode(frame))
#endif

/* Writes a str attribute in the encoding of the file system, and a NUL. */
static void write_text(FILE *out, PyObject *o, const char *attribute) {
  PyObject *text = PyObject_GetAttrString(o, attribute);
  PyObject *bytes = text && PyUnicode_Check(text) ? PyUnicode_EncodeFSDefault(text) : NULL;
  fputs(bytes ? PyBytes_AS_STRING(bytes) : "?", out);
  fputc(0, out);
  PyErr_Clear();
  Py_XDECREF(bytes);
  Py_XDECREF(text);
}

void fapws_write_frame(FILE *out, PyObject *o) {
  PyFrameObject *frame = (PyFrameObject *)o;
  PyObject *code = code_of(frame);
  write_text(out, code, "co_filename");
  fprintf(out, "%d", PyFrame_GetLineNumber(frame));
  fputc(0, out);
  write_text(out, code, PyObject_HasAttrString(code, "co_qualname") ? "co_qualname" : "co_name");
  Py_DECREF(code);
}

void fapws_write_stack(FILE *out, PyThreadState *state) {
  PyFrameObject *frame = top_frame(state);
  for (int depth = 0; frame && depth < DEEPEST; depth++) {
    fapws_write_frame(out, (PyObject *)frame);
    PyFrameObject *next = caller(frame);
    Py_DECREF(frame);
    frame = next;
  }
  Py_XDECREF(frame);
}

void fapws_take_snapshot(fapws_thread *t, fapws_stack_snapshot *out) {
  out->rec = t->current;
  out->serial = t->current->serial;
  out->thread = t->index;
  out->jobs = fapws_jobs_of(t);
  out->stack = NULL;
  out->stack_len = 0;
  FILE *f = open_memstream(&out->stack, &out->stack_len);
  if (!f) return;
  fapws_write_stack(f, t->python);
  fclose(f);
}

static int count_threads(void) {
  fapws_lock();
  int n = P.nthreads;
  fapws_unlock();
  return n;
}

struct sample {
  fapws_stack_snapshot *out;
  int max, found;
};

static void sample_alone(void *arg) {
  struct sample *s = arg;
  int n = count_threads();
  for (int i = 0; i < n && s->found < s->max; i++)
    if (P.threads[i]->current && P.threads[i]->python) fapws_take_snapshot(P.threads[i], &s->out[s->found++]);
  s->found += fapws_async_sample_stacks(s->out + s->found, s->max - s->found);
}

int fapws_sample_stacks(fapws_stack_snapshot *out, int max) {
  struct sample s = {out, max, 0};
  PyGILState_STATE gil = PyGILState_Ensure();
  fapws_alone(sample_alone, &s);
  PyGILState_Release(gil);
  return s.found;
}

/* --- the signal ------------------------------------------------------------ */

/* A thread notices an exception set from outside when it executes bytecode, but not while it waits in Lock.acquire,
 * sleep or recv. In inline mode handlers run on Python's main thread, where a signal ends such a wait: Python calls the
 * handler of the signal, and an exception of that ends the call. */
static int timeout_signal; /* 0: none */

/* The handler, on the main thread. The job may have ended meanwhile. */
static PyObject *on_timeout_signal(PyObject *self, PyObject *args) {
  fapws_thread *t = P.threads[0];
  if (!t->signalled || !t->current) Py_RETURN_NONE;
  t->signalled = 0;
  if (!t->python->async_exc) Py_RETURN_NONE; /* already raised, because the thread executed bytecode */
  PyThreadState_SetAsyncExc(t->python->thread_id, NULL);
  PyErr_SetNone(fapws_timeout);
  return NULL;
}

void fapws_take_timeout_signal(void) {
  static PyMethodDef method = {"overdue", on_timeout_signal, METH_VARARGS,
                               "Raises fapws.Timeout in an overdue handler."};
  PyObject *handler = PyCFunction_New(&method, NULL);
  /* The last real-time signal that the application does not use. */
  for (int sig = SIGRTMAX; handler && !timeout_signal && sig > SIGRTMIN; sig--) {
    PyObject *now = fapws_call("_signal", "getsignal", "(i)", sig);
    PyObject *done = now && !PyCallable_Check(now) ? fapws_call("_signal", "signal", "(iO)", sig, handler) : NULL;
    if (done) timeout_signal = sig;
    Py_XDECREF(done);
    Py_XDECREF(now);
    PyErr_Clear();
  }
  Py_XDECREF(handler);
  Py_XDECREF(fapws_signals_on_stack(NULL, NULL));
  PyErr_Clear();
}

/* --- requests -------------------------------------------------------------- */

int fapws_record_state(uintptr_t number, int *thread) {
  fapws_record *rec = (fapws_record *)number;
  return fapws_thread_of(rec) ? fapws_mode_of(rec)->state_of(rec, thread) : FAPWS_QUEUED;
}

int fapws_pool_state_of(fapws_record *rec, int *thread) {
  const fapws_thread *t = fapws_thread_of(rec);
  if (!t) return FAPWS_QUEUED; /* the record was given back meanwhile */
  *thread = t->index;
  if (__atomic_load_n(&t->current, __ATOMIC_RELAXED) == rec) return FAPWS_RUNNING;
  if (rec->open) return rec->scheduled ? FAPWS_MESSAGES : FAPWS_OPEN;
  if (rec->iter == NULL) return FAPWS_ANSWERED;
  return rec->parked ? FAPWS_PARKED : FAPWS_WAITING;
}

static void find_alone(void *arg) {
  fapws_overdue *o = arg;
  int n = count_threads();
  for (int i = 0; i < n && !o->thread; i++) {
    fapws_thread *t = P.threads[i];
    if (t->current != o->rec || o->rec->serial != o->serial || !t->python || (o->jobs && fapws_jobs_of(t) != o->jobs))
      continue;
    fapws_take_snapshot(t, o->out);
    o->thread = t;
  }
}

static void raise_in(fapws_thread *t) {
  if (PyThreadState_SetAsyncExc(t->python->thread_id, fapws_timeout) <= 0) {
    t->raised = 0; /* the thread has ended */
    return;
  }
  if (timeout_signal && t == P.threads[0]) {
    t->signalled = 1;
    pthread_kill(t->id, timeout_signal);
  }
}

struct find {
  fapws_overdue *o;
  void (*find)(void *);
};

/* The thread, when its job ends, withdraws a Timeout that is being raised, for which it waits. */
static void announce_alone(void *arg) {
  struct find *f = arg;
  f->find(f->o);
  if (f->o->thread) f->o->thread->raised = 1;
}

void fapws_raise_in_thread(fapws_overdue *o, void (*find)(void *)) {
  PyGILState_STATE gil = PyGILState_Ensure();
  FAPWS_BEGIN_ORDER();
  fapws_alone(announce_alone, &(struct find){o, find});
  if (o->thread) raise_in(o->thread);
  FAPWS_END_ORDER();
  PyGILState_Release(gil);
}

void fapws_withdraw_timeout(fapws_thread *t) {
  FAPWS_BEGIN_ORDER();
  t->raised = t->signalled = 0;
  PyThreadState_SetAsyncExc(t->python->thread_id, NULL);
  FAPWS_END_ORDER();
}

int fapws_raise_timeout(uintptr_t rec, uint32_t serial, unsigned long jobs, fapws_stack_snapshot *out) {
  fapws_overdue o = {.rec = (fapws_record *)rec, .serial = serial, .jobs = jobs, .out = out};
  fapws_raise_in_thread(&o, find_alone);
  return o.thread != NULL;
}

int fapws_running_callbacks(fapws_stack_snapshot *out, int max) {
  int found = 0;
  fapws_lock();
  for (int i = 0; i < P.nthreads && found < max; i++) {
    fapws_thread *t = P.threads[i];
    fapws_record *rec = __atomic_load_n(&t->current, __ATOMIC_RELAXED);
    if (!rec || !rec->started || !fapws_kind_of(rec)->run_inputs) continue;
    out[found++] =
        (fapws_stack_snapshot){.rec = rec, .serial = rec->serial, .thread = t->index, .jobs = fapws_jobs_of(t)};
  }
  fapws_unlock();
  return found;
}

uintptr_t fapws_inline_record(unsigned long *jobs) {
  *jobs = fapws_jobs_of(P.threads[0]);
  return (uintptr_t)__atomic_load_n(&P.threads[0]->current, __ATOMIC_RELAXED);
}

/* --- for handlers ---------------------------------------------------------- */

static PyObject *disconnected(PyObject *self, PyObject *none) {
  fapws_record *rec = fapws_this_thread ? fapws_this_thread->current : NULL;
  if (!rec) {
    PyErr_SetString(PyExc_RuntimeError, "fapws.disconnected() must be called on the thread that runs a request");
    return NULL;
  }
  return PyBool_FromLong((long)__atomic_load_n(&rec->cancelled, __ATOMIC_RELAXED));
}

PyMethodDef fapws_disconnected_method = {
    "disconnected", disconnected, METH_NOARGS,
    "disconnected() -> bool: whether the client of the calling thread's request has disconnected."};
