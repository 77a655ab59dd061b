/*
 * Declares the functions that cpy3 v0.2.0, written for Python 3.7, calls and that later Pythons dropped.
 *
 * build.sh's python3.pc puts this file before every C file that asks pkg-config for python3, so that cpy3 compiles
 * unchanged on every supported Python. fapws itself calls none of these functions.
 *
 * Python.h must not be included here: cgo's own wrappers define macros that Python.h must see first. Therefore only
 * <stddef.h> (wchar_t) and <patchlevel.h> (PY_VERSION_HEX) are included. */
#pragma once

#include <patchlevel.h>
#include <stddef.h>

/* The hook of Python 3.7 after fork(). In later versions, PyOS_AfterFork_Child does the work. */
static inline void PyEval_ReInitThreads(void) {}

#if PY_VERSION_HEX >= 0x03090000
/* These free lists are now private to the interpreter. The result 0 means: nothing was freed. */
static inline int PyDict_ClearFreeList(void) { return 0; }
static inline int PyFloat_ClearFreeList(void) { return 0; }
static inline int PyList_ClearFreeList(void) { return 0; }
static inline int PyTuple_ClearFreeList(void) { return 0; }
static inline int PySet_ClearFreeList(void) { return 0; }
static inline int PyUnicode_ClearFreeList(void) { return 0; }
#endif

#if PY_VERSION_HEX >= 0x03090000 && PY_VERSION_HEX < 0x030d0000
/* The headers declare this function, but the libraries do not export it. The definition is weak, because several C
 * files include this header. -1 means an error, or that no descriptor was set before. */
__attribute__((weak)) int PySignal_SetWakeupFd(int fd) {
  (void)fd;
  return -1;
}
#endif

#if PY_VERSION_HEX >= 0x030d0000
/* PyConfig has replaced these functions. Those with a result report failure. */
static inline int Py_SetStandardStreamEncoding(const char *encoding, const char *errors) {
  (void)encoding;
  (void)errors;
  return -1;
}
static inline void Py_SetPath(const wchar_t *path) { (void)path; }
static inline void PySys_SetPath(const wchar_t *path) { (void)path; }
static inline void PySys_AddWarnOption(const wchar_t *option) { (void)option; }
static inline void PySys_AddXOption(const wchar_t *option) { (void)option; }
static inline int PyEval_ThreadsInitialized(void) { return 1; }
#endif

#if PY_VERSION_HEX >= 0x030f0000
/* PyConfig_Get has replaced these functions. NULL means that the value is unknown, as before Python is initialised. */
static inline wchar_t *Py_GetProgramName(void) { return NULL; }
static inline wchar_t *Py_GetProgramFullPath(void) { return NULL; }
static inline wchar_t *Py_GetPrefix(void) { return NULL; }
static inline wchar_t *Py_GetExecPrefix(void) { return NULL; }
static inline wchar_t *Py_GetPath(void) { return NULL; }
static inline wchar_t *Py_GetPythonHome(void) { return NULL; }
static inline void PySys_ResetWarnOptions(void) {}
#endif
