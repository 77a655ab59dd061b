/* core_python.c: Python.h, the functions that older Pythons lack, helpers for frequent uses of the C API, and tools for
 * Python without the GIL. Every header of the Python side includes this one.
 *
 * Unless a comment says otherwise, a function needs the GIL, returns NULL or -1 with a Python exception set when it
 * fails, and borrows the objects it is given. A function returns objects as new references unless a comment says
 * "borrowed". */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>

#if PY_VERSION_HEX < 0x03090000
#define PyObject_CallNoArgs(f) PyObject_CallObject((f), NULL)
#define PyObject_CallOneArg(f, a) PyObject_CallFunctionObjArgs((f), (a), NULL)
#define PyObject_CallMethodNoArgs(o, n) PyObject_CallMethodObjArgs((o), (n), NULL)
#define PyObject_Vectorcall _PyObject_Vectorcall
#define PyInterpreterState_Get() (PyThreadState_Get()->interp)
#define CORE_HAVE_VECTORCALL _Py_TPFLAGS_HAVE_VECTORCALL
#else
#define CORE_HAVE_VECTORCALL Py_TPFLAGS_HAVE_VECTORCALL
#endif

#if PY_VERSION_HEX < 0x030a0000
typedef enum { PYGEN_RETURN = 0, PYGEN_ERROR = -1, PYGEN_NEXT = 1 } PySendResult;
#define CORE_AM_SEND(f)
#define Py_NewRef(o) core_new_ref((PyObject *)(o))
#define Py_XNewRef(o) core_new_ref((PyObject *)(o))
static inline PyObject *core_new_ref(PyObject *o) {
  Py_XINCREF(o);
  return o;
}
#else
#define CORE_AM_SEND(f) .am_send = (f),
#endif

/* =============================================================================
 * Checks of the callers, in builds with AddressSanitizer or ThreadSanitizer: a function that Go or Python calls begins
 * with CORE_CHECK. CORE_CHECK aborts unless the caller is in one of the given states for the GIL, on one of the given
 * threads, and in one of the given phases. If no state, thread or phase is given, any state, thread or phase is
 * allowed. A forked child is not checked.
 *
 * While a thread is in a function of the event loop, CORE_ON_LOOP refuses other threads. In inline mode a handler may
 * call the event loop (core_loop_send_now), which then calls functions that expect CORE_NO_GIL with the GIL. */

enum { CORE_GIL = 1, CORE_NO_GIL = 2, CORE_ON_MAIN = 4, CORE_ON_LOOP = 8, CORE_ON_ASYNCIO = 16 };
/* Phases of the process: before Python starts, before the pool starts, with the pool, and after Python has ended. */
enum { CORE_BEFORE = 32, CORE_LOADING = 64, CORE_SERVING = 128, CORE_ENDED = 256 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CORE_CHECKS 1
#define CORE_CHECK(expected)                                                                                           \
  __attribute__((cleanup(core_checked))) int core_took = core_check((expected), #expected, __FILE__, __LINE__, __func__)
#else
#define CORE_CHECKS 0
#define CORE_CHECK(expected) ((void)0)
#endif

/* Takes the GIL until the end of the block, on a thread that Python has not created. */
#define CORE_WITH_GIL(phases)                                                                                          \
  CORE_CHECK(CORE_NO_GIL | (phases));                                                                                  \
  __attribute__((cleanup(core_end_gil))) PyGILState_STATE core_gil = PyGILState_Ensure()
static inline void core_end_gil(const PyGILState_STATE *gil) { PyGILState_Release(*gil); }

/* --- core_check.c ------------------------------------------------------------- */

/* Returns 1 if the thread has become the event loop until core_checked. */
int core_check(unsigned expected, const char *text, const char *file, int line, const char *function);
void core_checked(const int *took);

/* --- core_python.c -------------------------------------------------------------- */

PyObject *core_import(const char *module, const char *name);
/* Calls an attribute of a module. format is a format of Py_BuildValue that makes a tuple: "(Oi)", "()". */
PyObject *core_call(const char *module, const char *name, const char *format, ...);
/* Raises an exception. The text of the exception has the format of PyErr_Format. Returns -1. */
int core_raise(PyObject *type, const char *format, ...);
/* Raises an exception like PyErr_Restore, but the caller keeps its references. None counts as NULL. Returns -1. */
int core_raise_given(PyObject *type, PyObject *value, PyObject *tb);
static inline int core_done(PyObject *result) {
  Py_XDECREF(result);
  return result ? 0 : -1;
}
/* Appends item to list and takes the reference to item. Returns -1 with an exception, also if the caller passes NULL
 * for list or item because of an exception. */
static inline int core_append(PyObject *list, PyObject *item) {
  int bad = list && item ? PyList_Append(list, item) : -1;
  Py_XDECREF(item);
  return bad;
}
/* Calls f(*args, **kw) and takes the three references; kw may be NULL. If f or args is NULL, or an exception is set,
 * returns NULL without a call. */
PyObject *core_call_with(PyObject *f, PyObject *args, PyObject *kw);
/* Returns the object that *slot owns. If *slot is NULL, *slot is first set to the result of make. Borrowed; NULL with
 * the exception of make. */
PyObject *core_keep_first(PyObject **slot, PyObject *(*make)(void));
/* Whether several threads run Python at the same time: a free-threaded Python whose GIL is off. */
int core_is_parallel(void);
/* Makes n interned str objects, which live as long as the process. Keeps elements of out that are not NULL. */
int core_intern(PyObject **out, const char *const *texts, int n);
/* Sets *value to dict[key], a new reference, and returns 1. Without that key, sets it to NULL and returns 0. -1 with
 * an exception. */
#if PY_VERSION_HEX < 0x030d0000
static inline int core_get(PyObject *dict, PyObject *key, PyObject **value) {
  *value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
  return *value ? 1 : PyErr_Occurred() ? -1 : 0;
}
#else
#define core_get PyDict_GetItemRef
#endif
/* Sets dict[key] to value and takes the reference to value. If value is NULL, returns -1 and keeps the current
 * exception. */
static inline int core_put(PyObject *dict, PyObject *key, PyObject *value) {
  if (!value) return -1;
  int bad = PyDict_SetItem(dict, key, value);
  Py_DECREF(value);
  return bad;
}

/* A list LIST(X) with X(NAME, "text") for each name becomes the members of an enum, and the texts for core_intern. */
#define CORE_NAME(name, text) name,
#define CORE_TEXT(name, text) text,

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Python without the GIL (PEP 703, free-threaded builds from 3.14 on): tools for threads that run Python at the same
 * time.
 *
 * "With the GIL" means in comments that the thread may use Python's objects. Where the code also relies on the
 * exclusion of other threads, it uses one of these:
 *
 * - CORE_PER_THREAD: each thread of the server has a variable of its own. Caches are separate for each thread,
 *   because threads that share a cache would contend for its lock and for reference counts.
 * - CORE_BEGIN_HOLD(o) ... CORE_END_HOLD(): other threads wait before they hold the object o. Like the GIL, o is
 *   released while the thread waits, so values must be read again after a wait.
 * - CORE_HELD(o, value): value, which is computed while the thread holds o.
 * - CORE_BEGIN_ONE() ... CORE_END_ONE(): the same for data that exists once in the process.
 * - CORE_BEGIN_ORDER() ... CORE_END_ORDER(): one thread at a time, also while it waits for something.
 * - core_alone(f, arg): f runs while no other thread runs Python, and each is at a place where it could lose the
 *   GIL. It stops the whole application, and is meant for code that inspects other threads. f must not call
 *   functions that take Python's own locks, such as PyThreadState_SetAsyncExc. */

#ifdef Py_GIL_DISABLED

#if PY_VERSION_HEX < 0x030e0000
#error "free-threaded Python is supported from 3.14 on"
#endif

#define CORE_PARALLEL 1
#define CORE_PER_THREAD __thread
#define CORE_BEGIN_HOLD(o) Py_BEGIN_CRITICAL_SECTION(o)
#define CORE_END_HOLD() Py_END_CRITICAL_SECTION()
/* Does the same with o of type void *. The pointer o may be NULL, and its owner may release it meanwhile. */
#define CORE_BEGIN_HOLD_IF(o)                                                                                          \
  {                                                                                                                    \
    PyObject *core_held = Py_XNewRef((PyObject *)(o));                                                                 \
    PyCriticalSection core_section;                                                                                    \
    if (core_held) PyCriticalSection_Begin(&core_section, core_held);
#define CORE_END_HOLD_IF()                                                                                             \
  if (core_held) PyCriticalSection_End(&core_section);                                                                 \
  Py_XDECREF(core_held);                                                                                               \
  }
extern PyMutex core_the_one;
#define CORE_BEGIN_ONE() Py_BEGIN_CRITICAL_SECTION_MUTEX(&core_the_one)
#define CORE_END_ONE() Py_END_CRITICAL_SECTION()
extern PyMutex core_the_order;
#define CORE_BEGIN_ORDER() PyMutex_Lock(&core_the_order)
#define CORE_END_ORDER() PyMutex_Unlock(&core_the_order)
#define core_is_only_reference(o) PyUnstable_Object_IsUniquelyReferenced((PyObject *)(o))

void core_alone(void (*f)(void *), void *arg);

#else

#define CORE_PARALLEL 0
#define CORE_PER_THREAD
#define CORE_BEGIN_HOLD(o) {
#define CORE_END_HOLD() }
#define CORE_BEGIN_ONE() {
#define CORE_END_ONE() }
#define CORE_BEGIN_ORDER() ((void)0)
#define CORE_END_ORDER() ((void)0)
#define CORE_BEGIN_HOLD_IF(o) {
#define CORE_END_HOLD_IF() }
#define core_is_only_reference(o) (Py_REFCNT(o) == 1)
static inline void core_alone(void (*f)(void *), void *arg) { f(arg); }

#endif

#define CORE_HELD(o, value)                                                                                            \
  ({                                                                                                                   \
    __typeof__(value) core_value;                                                                                      \
    CORE_BEGIN_HOLD(o);                                                                                                \
    core_value = (value);                                                                                              \
    CORE_END_HOLD();                                                                                                   \
    core_value;                                                                                                        \
  })
