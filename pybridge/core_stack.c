/* Stacks of Python threads, and fapws.Timeout for handlers that take too long. The functions can be called on any
 * thread, and take the GIL where necessary.
 *
 * core_thread.current is the record whose code a thread runs. The member changes under the GIL only. A Timeout is
 * prepared with the GIL and in core_alone (core_python.h), so it cannot be raised in a different request. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "core.h"

#include <frameobject.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define the_pool core_the_pool
#define DEEPEST 200

PyObject *core_timeout, *core_client_disconnected;

#if PY_VERSION_HEX < 0x03090000
static PyFrameObject *top_frame(PyThreadState *state) { return (PyFrameObject *)Py_XNewRef(state->frame); }

static PyFrameObject *caller(PyFrameObject *frame) { return (PyFrameObject *)Py_XNewRef(frame->f_back); }

static PyObject *code_of(PyFrameObject *frame) { return Py_NewRef(frame->f_code); }
#else
#define top_frame PyThreadState_GetFrame
#define caller PyFrame_GetBack
#define code_of(frame) ((PyObject *)PyFrame_GetCode(frame))
#endif

static void write_text(FILE *out, PyObject *o, const char *attribute) {
  PyObject *text = PyObject_GetAttrString(o, attribute);
  PyObject *bytes = text && PyUnicode_Check(text) ? PyUnicode_EncodeFSDefault(text) : NULL;
  fputs(bytes ? PyBytes_AS_STRING(bytes) : "?", out);
  fputc(0, out);
  PyErr_Clear();
  Py_XDECREF(bytes);
  Py_XDECREF(text);
}

void core_write_frame(FILE *out, PyObject *o) {
  PyFrameObject *frame = (PyFrameObject *)o;
  PyObject *code = code_of(frame);
  write_text(out, code, "co_filename");
  fprintf(out, "%d", PyFrame_GetLineNumber(frame));
  fputc(0, out);
  write_text(out, code, PyObject_HasAttrString(code, "co_qualname") ? "co_qualname" : "co_name");
  Py_DECREF(code);
}

void core_write_stack(FILE *out, PyThreadState *state) {
  PyFrameObject *frame = top_frame(state);
  for (int depth = 0; frame && depth < DEEPEST; depth++) {
    core_write_frame(out, (PyObject *)frame);
    PyFrameObject *next = caller(frame);
    Py_DECREF(frame);
    frame = next;
  }
  Py_XDECREF(frame);
}

FILE *core_begin_snapshot(core_snapshot *out, core_record *rec, int thread, unsigned long jobs) {
  *out = (core_snapshot){.rec = rec, .serial = rec->serial, .thread = thread, .jobs = jobs};
  return open_memstream(&out->stack, &out->stack_len);
}

void core_take_snapshot(core_thread *t, core_snapshot *out) {
  FILE *f = core_begin_snapshot(out, t->current, t->index, core_jobs_of(t));
  if (!f) return;
  core_write_stack(f, t->python);
  fclose(f);
}

static int count_threads(void) {
  CORE_LOCKED();
  return the_pool.nthreads;
}

int core_sample_threads(core_snapshot *out, int max) {
  int n = count_threads(), found = 0;
  for (int i = 0; i < n && found < max; i++)
    if (the_pool.threads[i]->current && the_pool.threads[i]->python)
      core_take_snapshot(the_pool.threads[i], &out[found++]);
  return found;
}

static void find_debugged(void *found) {
  for (PyThreadState *s = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); s; s = PyThreadState_Next(s))
    if (s->tracing > 0) *(int *)found = 1;
}

int core_is_at_console(void) {
  CORE_WITH_GIL(CORE_SERVING);
  int found = 0;
  core_alone(find_debugged, &found);
  PyObject *answer = found ? NULL : core_call("fapws._timeout", "is_at_console", "()");
  if (answer == Py_True) found = 1;
  Py_XDECREF(answer);
  PyErr_Clear();
  return found;
}

/* The signal that interrupts an overdue handler in inline mode, or 0. While a thread waits in Lock.acquire, sleep or
 * recv, it does not notice an exception that a different thread has set for it. In inline mode, handlers run on
 * Python's main thread. There a signal interrupts the wait. Then the Python handler of the signal raises an exception,
 * which ends the call. */
static int timeout_signal;

/* Handles the signal on Python's main thread. The job for which the signal was sent can have ended already. */
static PyObject *on_timeout_signal(PyObject *self, PyObject *args) {
  CORE_CHECK(CORE_GIL | CORE_ON_MAIN);
  core_thread *t = the_pool.threads[0];
  if (!t->signalled || !t->current) Py_RETURN_NONE;
  t->signalled = 0;
  /* the thread has executed bytecode, and has therefore raised the exception already */
  if (!t->python->async_exc) Py_RETURN_NONE;
  PyThreadState_SetAsyncExc(t->python->thread_id, NULL);
  PyErr_SetNone(core_timeout);
  return NULL;
}

void core_take_timeout_signal(void) {
  static PyMethodDef method = {"overdue", on_timeout_signal, METH_VARARGS,
                               "Raises fapws.Timeout in an overdue handler."};
  PyObject *handler = PyCFunction_New(&method, NULL);
  for (int sig = SIGRTMAX; handler && !timeout_signal && sig > SIGRTMIN; sig--) {
    PyObject *now = core_call("_signal", "getsignal", "(i)", sig);
    int is_free = now && !PyCallable_Check(now);
    if (is_free && core_done(core_call("_signal", "signal", "(iO)", sig, handler)) == 0) timeout_signal = sig;
    Py_XDECREF(now);
    PyErr_Clear();
  }
  Py_XDECREF(handler);
  Py_XDECREF(core_signals_on_stack(NULL, NULL));
  PyErr_Clear();
}

int core_record_state(uintptr_t number, int *thread) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  core_record *rec = (core_record *)number;
  return core_thread_of(rec) ? core_mode_of(rec)->state_of(rec, thread) : CORE_QUEUED;
}

int core_pool_state_of(core_record *rec, int *thread) {
  const core_thread *t = core_thread_of(rec);
  if (!t) return CORE_QUEUED; /* the thread has just returned the record to the event loop */
  *thread = t->index;
  if (__atomic_load_n(&t->current, __ATOMIC_RELAXED) == rec) return CORE_RUNNING;
  if (rec->inputs.open) return rec->inputs.scheduled ? CORE_MESSAGES : CORE_OPEN;
  if (rec->run.iter == NULL) return CORE_ANSWERED;
  return rec->run.parked ? CORE_PARKED : CORE_WAITING;
}

static void find_alone(void *arg) {
  core_overdue *o = arg;
  int n = count_threads();
  for (int i = 0; i < n && !o->thread; i++) {
    core_thread *t = the_pool.threads[i];
    if (t->current != o->rec || o->rec->serial != o->serial || !t->python || (o->jobs && core_jobs_of(t) != o->jobs))
      continue;
    core_take_snapshot(t, o->out);
    o->thread = t;
  }
}

static void raise_in(core_thread *t) {
  if (PyThreadState_SetAsyncExc(t->python->thread_id, core_timeout) <= 0) {
    t->raised = 0;
    return;
  }
  if (timeout_signal && t == the_pool.threads[0]) {
    t->signalled = 1;
    pthread_kill(t->id, timeout_signal);
  }
}

struct find {
  core_overdue *o;
  void (*find)(void *);
};

/* Finds the thread, and sets its member raised, so that the thread withdraws the Timeout if its job has already
 * ended. */
static void announce_alone(void *arg) {
  struct find *f = arg;
  f->find(f->o);
  if (f->o->thread) f->o->thread->raised = 1;
}

void core_raise_in_thread(core_overdue *o, void (*find)(void *)) {
  CORE_WITH_GIL(CORE_SERVING);
  CORE_BEGIN_ORDER();
  core_alone(announce_alone, &(struct find){o, find});
  if (o->thread) raise_in(o->thread);
  CORE_END_ORDER();
}

void core_withdraw_timeout(core_thread *t) {
  CORE_BEGIN_ORDER();
  t->raised = t->signalled = 0;
  PyThreadState_SetAsyncExc(t->python->thread_id, NULL);
  CORE_END_ORDER();
}

int core_raise_timeout(uintptr_t rec, uint32_t serial, unsigned long jobs, core_snapshot *out) {
  core_overdue o = {.rec = (core_record *)rec, .serial = serial, .jobs = jobs, .out = out};
  core_raise_in_thread(&o, find_alone);
  return o.thread != NULL;
}

int core_running_callbacks(core_snapshot *out, int max) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING);
  int found = 0;
  CORE_LOCKED();
  for (int i = 0; i < the_pool.nthreads && found < max; i++) {
    core_thread *t = the_pool.threads[i];
    core_record *rec = __atomic_load_n(&t->current, __ATOMIC_RELAXED);
    if (!rec || !rec->run.started || !core_kind_of(rec)->run_inputs) continue;
    out[found++] = (core_snapshot){.rec = rec, .serial = rec->serial, .thread = t->index, .jobs = core_jobs_of(t)};
  }
  return found;
}

/* --- profiles ------------------------------------------------------------
 *
 * Profiles of all Python threads, which fapws.contrib.profile records for the status page. */

static const char module[] = "fapws.contrib.profile";

int core_profile_begin(double seconds) {
  CORE_WITH_GIL(CORE_SERVING);
  PyObject *done = core_call(module, "_begin_served", "(d)", seconds);
  int began = done ? PyObject_IsTrue(done) : -1;
  Py_XDECREF(done);
  if (PyErr_Occurred()) PyErr_Print();
  return began;
}

char *core_profile_stacks(void) {
  CORE_WITH_GIL(CORE_SERVING);
  char *stacks = core_copy_text(core_call(module, "_served_stacks", "()"));
  if (PyErr_Occurred()) PyErr_Print();
  return stacks;
}

#if CORE_PARALLEL
#define MOST 512

struct stacks {
  struct {
    unsigned long id;
    char *text;
    size_t len;
  } of[MOST];
  int n;
};

static void write_alone(void *arg) {
  struct stacks *s = arg;
  PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
  for (; state && s->n < MOST; state = PyThreadState_Next(state), s->n++) {
    FILE *out = open_memstream(&s->of[s->n].text, &s->of[s->n].len);
    if (!out) break;
    core_write_stack(out, state);
    fclose(out);
    s->of[s->n].id = state->thread_id;
  }
}

PyObject *core_stacks(PyObject *module, PyObject *none) {
  struct stacks s;
  s.n = 0;
  core_alone(write_alone, &s);
  PyObject *list = PyList_New(0);
  for (int i = 0; i < s.n; i++) {
    PyObject *pair = list ? Py_BuildValue("(ky#)", s.of[i].id, s.of[i].text, (Py_ssize_t)s.of[i].len) : NULL;
    if (core_append(list, pair) < 0) Py_CLEAR(list);
    free(s.of[i].text);
  }
  return list;
}
#endif

/* --- without the GIL -----------------------------------------------------
 *
 * Writes the stacks of all Python threads without the GIL.
 *
 * Most builds of Python do not export the functions of faulthandler that write stacks. However, faulthandler.register
 * installs a signal handler that calls these functions. Therefore core_dump_init registers a signal, keeps the address
 * of faulthandler's handler, and restores the previous handler of the signal at once. core_dump_stacks later calls the
 * handler of faulthandler as a function. */

/* Handler of faulthandler, which writes stacks to the file, or NULL if it is not available. */
static void (*_Atomic write_stacks)(int signal);
static int file = -1;
static struct stat identity; /* shows whether the application has closed the descriptor of the file */

int core_dump_init(void) {
  struct sigaction before, handler;
  file = memfd_create("stacks", MFD_CLOEXEC);
  /* If a sandbox refuses memfd_create, a handler that hangs is reported without stacks. */
  if (file < 0 || fstat(file, &identity) < 0 || sigaction(SIGRTMAX, NULL, &before) < 0) return 0;
  if (core_done(core_call("faulthandler", "register", "(iiOO)", SIGRTMAX, file, Py_True, Py_False)) < 0) return -1;
  sigaction(SIGRTMAX, &before, &handler);
  write_stacks = handler.sa_handler;
  return 0;
}

void core_dump_end(void) { write_stacks = NULL; }

int core_dump_stacks(void) {
  void (*write_to_file)(int) = write_stacks;
  struct stat now;
  if (!write_to_file || fstat(file, &now) < 0 || now.st_dev != identity.st_dev || now.st_ino != identity.st_ino)
    return -1;
  if (ftruncate(file, 0) < 0 || lseek(file, 0, SEEK_SET) < 0) return -1;
  write_to_file(SIGRTMAX);
  return file;
}
