/* Includes Python.h, and declares the functions that older versions of Python lack, helpers for the C API
 * (core_python.c), and tools for Python without the GIL.
 *
 * The following rules apply to each function unless its comment says otherwise. The caller must hold the GIL. If the
 * function fails, it sets a Python exception, and returns NULL or -1. The function borrows its arguments, and returns
 * new references. */
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
 * Checks of the callers, in builds with AddressSanitizer or ThreadSanitizer: a function that Go calls begins with
 * CORE_CHECK, unless it may be called in every situation. The argument of CORE_CHECK lists the permitted states of the
 * GIL, the permitted threads, and the permitted phases of the process. If the argument contains no thread, every thread
 * is permitted, and likewise for states and phases. In all situations that are not permitted, CORE_CHECK aborts the
 * process, but not in a forked child. Methods that Python calls need no check of the GIL, because Python holds it.
 *
 * Only one thread at a time can be in a function with CORE_ON_LOOP. In inline mode a handler can call the event loop
 * (core_loop_send_now), which is then permitted to call functions with CORE_NO_GIL although it holds the GIL. */

enum { CORE_GIL = 1, CORE_NO_GIL = 2, CORE_ON_MAIN = 4, CORE_ON_LOOP = 8, CORE_ON_ASYNCIO = 16 };
/* Phases of the process: before Python starts, before the pool starts, while the pool exists, after Python has
 * ended. */
enum { CORE_BEFORE = 32, CORE_LOADING = 64, CORE_SERVING = 128, CORE_ENDED = 256 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CORE_CHECKS 1
#define CORE_CHECK(expected)                                                                                           \
  __attribute__((cleanup(core_checked))) int core_took = core_check((expected), #expected, __FILE__, __LINE__, __func__)
#else
#define CORE_CHECKS 0
#define CORE_CHECK(expected) ((void)0)
#endif

/* Takes the GIL until the end of the block, on any thread. */
#define CORE_WITH_GIL(phases)                                                                                          \
  CORE_CHECK(CORE_NO_GIL | (phases));                                                                                  \
  __attribute__((cleanup(core_end_gil))) PyGILState_STATE core_gil = PyGILState_Ensure()
static inline void core_end_gil(const PyGILState_STATE *gil) { PyGILState_Release(*gil); }

/* --- core_check.c ------------------------------------------------------------- */

/* Returns 1 if the current thread now counts as the event loop. core_checked ends this state. */
int core_check(unsigned expected, const char *text, const char *file, int line, const char *function);
void core_checked(const int *took);

/* --- core_python.c -------------------------------------------------------------- */

PyObject *core_import(const char *module, const char *name);
/* Imports a module, and calls the module's attribute with this name. The parameter format is a format of Py_BuildValue
 * that makes the tuple of arguments, such as "(Oi)" or "()". */
PyObject *core_call(const char *module, const char *name, const char *format, ...);
/* Returns a copy of a str in UTF-8, which the caller must free, or NULL if text is NULL or memory is exhausted. Steals
 * the reference to text. */
char *core_copy_text(PyObject *text);
/* Raises an exception with a text formatted as by PyErr_Format, and returns -1. */
int core_raise(PyObject *type, const char *format, ...);
/* Raises an exception as PyErr_Restore does, but borrows the references, and returns -1; value and tb can be None or
 * NULL. */
int core_raise_given(PyObject *type, PyObject *value, PyObject *tb);
static inline int core_done(PyObject *result) {
  Py_XDECREF(result);
  return result ? 0 : -1;
}
/* Appends item to list, and steals the reference to item. If list or item is NULL, an exception must be set already. */
static inline int core_append(PyObject *list, PyObject *item) {
  int bad = list && item ? PyList_Append(list, item) : -1;
  Py_XDECREF(item);
  return bad;
}
/* Calls f(*args, **kw), where kw can be NULL. Steals the three references. If f or args is NULL, or an exception is set
 * already, returns NULL without calling f. */
PyObject *core_call_with(PyObject *f, PyObject *args, PyObject *kw);
/* Returns a borrowed reference to the object that *slot owns. If *slot is NULL, first sets *slot to the result of the
 * function make. */
PyObject *core_keep_first(PyObject **slot, PyObject *(*make)(void));
/* Whether several threads can run Python at the same time, because a free-threaded Python has disabled the GIL. */
int core_is_parallel(void);
/* Sets each of the n elements of out that is NULL to an interned str with the corresponding element of texts; the str
 * objects live as long as the process. */
int core_intern(PyObject **out, const char *const *texts, int n);
/* Sets *value to a new reference to dict[key] and returns 1, or sets *value to NULL and returns 0 if the dict lacks the
 * key. */
#if PY_VERSION_HEX < 0x030d0000
static inline int core_get(PyObject *dict, PyObject *key, PyObject **value) {
  *value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
  return *value ? 1 : PyErr_Occurred() ? -1 : 0;
}
#else
#define core_get PyDict_GetItemRef
#endif
/* Sets dict[key] to value, and steals the reference to value. If value is NULL, an exception must be set already, and
 * the function returns -1. */
static inline int core_put(PyObject *dict, PyObject *key, PyObject *value) {
  if (!value) return -1;
  int bad = PyDict_SetItem(dict, key, value);
  Py_DECREF(value);
  return bad;
}

/* For a list macro TEXTS(X), which contains X(NAME, "text") for each name: TEXTS(CORE_NAME) is the list of members of
 * an enum, and TEXTS(CORE_TEXT) the list of texts for core_intern. */
#define CORE_NAME(name, text) name,
#define CORE_TEXT(name, text) text,

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Python without the GIL (PEP 703, free-threaded builds from 3.14 on): tools for threads that run Python at the same
 * time.
 *
 * In comments, "with the GIL" means that the thread is permitted to use Python objects. Code that also requires that no
 * other thread runs at the same time uses one of the following tools:
 *
 * - CORE_PER_THREAD: declares a variable of which each thread has its own copy. Caches are such variables, because
 *   threads that share a cache would contend for its lock and for reference counts.
 * - CORE_BEGIN_HOLD(o) ... CORE_END_HOLD(): the thread holds the object o, and other threads wait until o is released.
 *   As with the GIL, o is released while the thread waits for something, so values must be read again after a wait.
 * - CORE_HELD(o, value): the result of the expression value, which is evaluated while the thread holds o.
 * - CORE_BEGIN_ONE() ... CORE_END_ONE(): the same as CORE_BEGIN_HOLD, but for data of the process that belongs to no
 *   object.
 * - CORE_BEGIN_ORDER() ... CORE_END_ORDER(): one thread at a time runs the block, even if that thread waits for
 *   something in the block.
 * - core_alone(f, arg): calls f(arg) while no other thread runs Python, and each other thread is at a place where it
 *   could lose the GIL. core_alone stops the whole application, so it is only for code that inspects other threads. The
 *   function f must not call functions that take Python's own locks, such as PyThreadState_SetAsyncExc. */

#ifdef Py_GIL_DISABLED

#if PY_VERSION_HEX < 0x030e0000
#error "free-threaded Python is supported from 3.14 on"
#endif

#define CORE_PARALLEL 1
#define CORE_PER_THREAD __thread
#define CORE_BEGIN_HOLD(o) Py_BEGIN_CRITICAL_SECTION(o)
#define CORE_END_HOLD() Py_END_CRITICAL_SECTION()
/* Like CORE_BEGIN_HOLD, for a pointer o of type void *, which can be NULL. The owner of the object can release its
 * reference during the block. */
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
