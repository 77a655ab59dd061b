/* Handlers of the form async def handler(environ, start_response), which run on the asyncio thread. An async handler
 * can return the same values as a synchronous handler, or an async iterable. If the handler is an async generator, each
 * chunk is sent when the generator yields the chunk. */
#include "asgi.h"

#define the_thread asgi_the_thread

static PyObject *next_item(asgi_exchange *x) {
  PyObject *awaitable = Py_TYPE(x->iterator)->tp_as_async->am_anext(x->iterator);
  PyObject *inner = awaitable ? asgi_await(awaitable) : NULL;
  Py_XDECREF(awaitable);
  return inner;
}

/* Returns an awaitable that closes the async generator x->iterator, or NULL if x->iterator has no aclose(). */
static PyObject *closing(asgi_exchange *x) {
  PyObject *iterator = x->iterator;
  x->iterator = NULL;
  PyObject *aclose = PyObject_GetAttrString(iterator, "aclose"),
           *awaitable = aclose ? PyObject_CallNoArgs(aclose) : NULL;
  PyObject *inner = awaitable ? asgi_await(awaitable) : NULL;
  if (aclose && !inner) PyErr_WriteUnraisable(aclose);
  PyErr_Clear(); /* an async iterator need not have aclose() */
  Py_XDECREF(awaitable);
  Py_XDECREF(aclose);
  Py_DECREF(iterator);
  return inner;
}

/* Makes the response from the result of the handler, and returns the next awaitable, or NULL, as asgi_kind.begin
 * does. */
static PyObject *answer(asgi_exchange *x, PyObject *result) {
  core_record *rec = x->rec;
  const PyAsyncMethods *methods = Py_TYPE(result)->tp_as_async;
  wsgi_end_writes(rec);
  if (methods && methods->am_aiter) {
    PyObject *iterator = methods->am_aiter(result);
    if (!iterator) return NULL;
    methods = Py_TYPE(iterator)->tp_as_async;
    if (!methods || !methods->am_anext) {
      PyErr_Format(PyExc_TypeError, "%.100s.__aiter__() returned a %.100s, which has no __anext__",
                   Py_TYPE(result)->tp_name, Py_TYPE(iterator)->tp_name);
      Py_DECREF(iterator);
      return NULL;
    }
    x->iterator = iterator;
    return next_item(x);
  }
  if (wsgi_answer(&the_thread.thread, rec, result) > 0) wsgi_stream(&the_thread.thread, rec);
  return NULL;
}

static PyObject *handler_begin(asgi_exchange *x) {
  PyObject *result = wsgi_call(&the_thread.thread, x->rec);
  if (!result) return NULL;
  int awaits = PyCoro_CheckExact(result) || (Py_TYPE(result)->tp_as_async && Py_TYPE(result)->tp_as_async->am_await);
  PyObject *inner = awaits ? asgi_await(result) : answer(x, result);
  Py_DECREF(result);
  return inner;
}

/* Sends a chunk of the response, and returns the next awaitable, or NULL. */
static PyObject *piece(asgi_exchange *x, PyObject *item) {
  core_record *rec = x->rec;
  if (wsgi_send_chunk(&the_thread.thread, rec, item) < 0) {
    wsgi_fail(&the_thread.thread, rec);
    return closing(x);
  }
  if (rec->run.whole || (rec->run.started && rec->run.bodyless)) {
    wsgi_stream_end(&the_thread.thread, rec, 0);
    return closing(x);
  }
  return core_must_wait(rec) ? asgi_waiter_new(x, ASGI_FOR_ROOM) : next_item(x);
}

static PyObject *handler_returned(asgi_exchange *x, PyObject *result) {
  core_record *rec = x->rec;
  if (!rec) return NULL;
  if (!x->iterator) return answer(x, result);
  if (core_is_cancelled(rec)) {
    wsgi_stream_end(&the_thread.thread, rec, 1);
    return closing(x);
  }
  if (x->waits) {
    x->waits = 0;
    return next_item(x);
  }
  PyObject *next = piece(x, result);
  x->waits = next && Py_TYPE(next) == &asgi_Waiter_Type;
  return next;
}

static void handler_raised(asgi_exchange *x) {
  if (x->rec) wsgi_end_writes(x->rec);
  if (x->iterator && x->rec && PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
    PyErr_Clear();
    wsgi_stream_end(&the_thread.thread, x->rec, 0);
    return;
  }
  asgi_raised(x);
}

/* Cancels an async generator after the client has disconnected, because the generator might wait for an event
 * forever. A handler that is no generator continues to its end, as a synchronous handler does. */
static void handler_gone(asgi_exchange *x) {
  if (x->iterator && !x->waits) asgi_exchange_cancel(x);
}

/* Does nothing, because async handlers do not call send(). handler_returned checks whether the client has
 * disconnected. */
static int too_late(asgi_exchange *x, PyObject *message) { return 0; }

const asgi_kind asgi_handler = {
    .kind = {.run = asgi_exchange_run, .resume = wsgi_resume},
    .begin = handler_begin,
    .returned = handler_returned,
    .raised = handler_raised,
    .gone = handler_gone,
    .too_late = too_late,
};
