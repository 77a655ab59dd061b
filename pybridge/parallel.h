/* Python without the GIL (PEP 703, free-threaded builds from 3.14 on): what several threads use, if each of them may
 * run Python at the same time. With a GIL all of it is empty.
 *
 * "With the GIL" means in comments that the thread may use Python's objects. Where that also has to keep other threads
 * out, the code says how:
 *
 * - FAPWS_PER_THREAD: each thread of the server has a variable of its own. Caches are such variables, because threads
 *   that share them would wait for each other, and count the references of the same objects.
 * - FAPWS_BEGIN_HOLD(o) ... FAPWS_END_HOLD(): other threads that hold the object o wait. As the GIL is, o is given up
 * for a while where the thread waits for something, so values from before have to be read again.
 * - FAPWS_BEGIN_ONE() ... FAPWS_END_ONE(): the same with something that exists once in the process.
 * - FAPWS_BEGIN_ORDER() ... FAPWS_END_ORDER(): one thread at a time, also while it waits for something.
 * - fapws_alone(f, arg): f runs while no other thread runs Python, and each is at a place where it could lose the GIL.
 *   For what looks at other threads; it stops the whole application. f must not call what takes Python's own locks,
 *   such as PyThreadState_SetAsyncExc. */
#ifndef FAPWS_PARALLEL_H
#define FAPWS_PARALLEL_H

#ifdef Py_GIL_DISABLED

#if PY_VERSION_HEX < 0x030e0000
#error "free-threaded Python is supported from 3.14 on"
#endif

#define FAPWS_PARALLEL 1
#define FAPWS_PER_THREAD __thread
#define FAPWS_BEGIN_HOLD(o) Py_BEGIN_CRITICAL_SECTION(o)
#define FAPWS_END_HOLD() Py_END_CRITICAL_SECTION()
/* The same with o of type void *, which may be NULL, and be released meanwhile by its owner. */
#define FAPWS_BEGIN_HOLD_IF(o)                                                                                         \
  {                                                                                                                    \
    PyObject *fapws_held = Py_XNewRef((PyObject *)(o));                                                                \
    PyCriticalSection fapws_section;                                                                                   \
    if (fapws_held) PyCriticalSection_Begin(&fapws_section, fapws_held);
#define FAPWS_END_HOLD_IF()                                                                                            \
  if (fapws_held) PyCriticalSection_End(&fapws_section);                                                               \
  Py_XDECREF(fapws_held);                                                                                              \
  }
extern PyMutex fapws_the_one;
#define FAPWS_BEGIN_ONE() Py_BEGIN_CRITICAL_SECTION_MUTEX(&fapws_the_one)
#define FAPWS_END_ONE() Py_END_CRITICAL_SECTION()
extern PyMutex fapws_the_order;
#define FAPWS_BEGIN_ORDER() PyMutex_Lock(&fapws_the_order)
#define FAPWS_END_ORDER() PyMutex_Unlock(&fapws_the_order)
#define fapws_is_only_reference(o) PyUnstable_Object_IsUniquelyReferenced((PyObject *)(o))

void fapws_alone(void (*f)(void *), void *arg);

#else

#define FAPWS_PARALLEL 0
#define FAPWS_PER_THREAD
#define FAPWS_BEGIN_HOLD(o) {
#define FAPWS_END_HOLD() }
#define FAPWS_BEGIN_ONE() {
#define FAPWS_END_ONE() }
#define FAPWS_BEGIN_ORDER() ((void)0)
#define FAPWS_END_ORDER() ((void)0)
#define FAPWS_BEGIN_HOLD_IF(o) {
#define FAPWS_END_HOLD_IF() }
/* Whether the caller has the only reference to o. */
#define fapws_is_only_reference(o) (Py_REFCNT(o) == 1)
static inline void fapws_alone(void (*f)(void *), void *arg) { f(arg); }

#endif
#endif
