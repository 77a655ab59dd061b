/* The layer wsgi_ of the C code: environ, start_response, and the responses of synchronous handlers.
 *
 * The functions must be called with the GIL, on the thread that runs the record, unless the comment of a function says
 * otherwise. Each thread has its own caches (CORE_PER_THREAD). The record owns its environ, input, start and iterator,
 * which wsgi_drop releases before the last part is published. A function that publishes the last part returns the
 * record to the event loop, so its caller must not use the record after the call. */
#pragma once

#include "core.h"

/* =============================================================================
 * Python objects of a request: wsgi_environ.c, wsgi_fields.c and wsgi_input.c.
 *
 * An object that can outlive its request is detached from the record before the record is reused (wsgi_drop). */

/* --- wsgi_environ.c -------------------------------------------------------------- */

int wsgi_environ_init(const core_options *o);
/* Creates environ for rec: an instance of the class cls, or a dict if cls is NULL; input is NULL if the request has no
 * body. */
PyObject *wsgi_environ(core_record *rec, PyObject *cls, PyObject *input);
/* Stores the ID of a failed request in env. Returns 0, or -1 with an exception. */
int wsgi_put_request_id(PyObject *env, const core_record *rec);
extern PyTypeObject wsgi_Disconnected_Type;
/* Detaches the function fapws.disconnected from rec, so that its result no longer changes when rec is reused. */
void wsgi_detach_disconnected(core_record *rec);
/* Frees all caches of the current thread, which is about to end. */
void wsgi_forget_caches(void);
PyObject *wsgi_method(const core_record *rec);

/* Finds the next variable of mod_ssl in rec->req.tls, or returns 0 after the last; *at must be 0 in the first call. */
int wsgi_next_variable(const core_record *rec, uint32_t *at, core_span *name, core_span *value);

/* --- wsgi_fields.c --------------------------------------------------------------- */

enum {
  WSGI_FIELD_HEADER, /* the key in environ is HTTP_ and the name */
  WSGI_FIELD_TYPE,   /* the key in environ is CONTENT_TYPE */
  WSGI_FIELD_DROP,   /* not in environ, because a different key has the value, or because the field is dangerous */
};

typedef struct {
  const char *name; /* name of the field; its case is ignored in comparisons */
  PyObject *key;
  uint8_t len, role, joined_by_semicolon;
} wsgi_known_field;

int wsgi_field_names_init(void);
/* Returns the entry for a field name of n bytes, or NULL without an exception if the field is not known. */
const wsgi_known_field *wsgi_find_field(const char *name, size_t n);
/* Returns the key in environ for a field name of n ASCII bytes, such as HTTP_USER_AGENT. */
PyObject *wsgi_field_key(const char *name, size_t n);

/* --- wsgi_input.c ---------------------------------------------------------------- */

extern PyTypeObject wsgi_Input_Type;
/* Creates wsgi.input for rec, or the wsgi.input for requests without a body if rec is NULL. */
PyObject *wsgi_input_new(core_record *rec);
/* Detaches wsgi.input from its record, because the record will be reused. */
void wsgi_input_detach(PyObject *input);
int wsgi_expose_socket(core_record *rec);
/* Whether the application has used its socket to the client, so that the server must not send a response. */
int wsgi_socket_was_used(core_record *rec);
/* Closes the socket to the client, unless the application owns the socket. Sets rec->run.taken if the application has
 * used the socket. */
void wsgi_close_socket(core_record *rec);

/* --- wsgi_hints.c ---------------------------------------------------------------- */

extern PyMethodDef wsgi_early_hints_method;

/* =============================================================================
 * Return values of handlers, and the parts made of them: wsgi_start.c, wsgi_result.c, wsgi_stream.c,
 * wsgi_answers.c, wsgi_file.c and wsgi_run.c.
 *
 * The functions borrow the return values of handlers. The record owns references to objects that are needed after the
 * call: iterators, and objects with close(). */

/* --- wsgi_start.c ---------------------------------------------------------------- */

extern PyTypeObject wsgi_Start_Type;

/* Returns a new or recycled start_response for rec, of the class cls, or of the built-in class if cls is NULL. */
PyObject *wsgi_start_for(core_thread *t, core_record *rec, PyObject *cls);
/* Called after the exchange. Releases the reference to start, unless the thread t keeps start for a later request. */
void wsgi_start_done(core_thread *t, PyObject *start);

/* --- wsgi_result.c --------------------------------------------------------------- */

/* Makes the response from the return value of a handler. Returns 0 if the whole response was published, 1 if the caller
 * must call wsgi_stream to run rec->run.iter, or -1 with an exception. The caller must not call result.close(). */
int wsgi_answer(core_thread *t, core_record *rec, PyObject *result);

/* --- wsgi_stream.c --------------------------------------------------------------- */

static inline int wsgi_read_chunk(PyObject *item, core_message *m) {
  return core_read_text(item, m, "a response must consist of str or bytes, not %.100s: %.200R");
}
/* Calls result.close(), if result has this method. */
void wsgi_close_result(core_record *rec, PyObject *result);
int wsgi_send_chunk(core_thread *t, core_record *rec, PyObject *item);
/* Runs the iterator rec->run.iter until it ends, must wait for the client, or must yield the thread. */
void wsgi_stream(core_thread *t, core_record *rec);
void wsgi_stream_end(core_thread *t, core_record *rec, int failed);
/* Releases all objects of rec; must be called before the last part of rec is published. */
void wsgi_drop(core_thread *t, core_record *rec);
PyObject *wsgi_write(PyObject *start, PyObject *data);
/* After the handler of rec has returned, makes calls of write() that still run on different threads fail, and waits
 * until the calls have returned. Releases the GIL during the wait. */
void wsgi_end_writes(core_record *rec);

/* --- wsgi_answers.c --------------------------------------------------------- */

typedef struct {
  PyObject_HEAD PyObject *options; /* owned: a str that contains JSON */
  PyObject *path;                  /* owned: bytes of PATH_INFO; for a program, of SCRIPT_NAME followed by PATH_INFO */
  int program;
  uint32_t script_len;
} wsgi_static_object;
extern PyTypeObject wsgi_StaticAnswer_Type;
/* A return value of handlers that makes the client a subscriber of channels. */
typedef struct {
  PyObject_HEAD PyObject *names; /* owned: names of the channels, a str in the format of the field Fapws-Channel */
  PyObject *start;               /* owned: bytes with which the stream begins */
  PyObject *headers;             /* owned: header fields, a tuple of pairs (name, value) */
} wsgi_channel_object;
extern PyTypeObject wsgi_ChannelAnswer_Type;
extern PyMethodDef wsgi_answer_methods[];
int wsgi_channel_head(core_response *s, PyObject *answer);

/* --- wsgi_file.c ----------------------------------------------------------------- */

extern PyTypeObject *wsgi_file_wrapper; /* class of wsgi.file_wrapper (fapws._file) */
int wsgi_file_init(void);
/* If the parameter result is, or wraps, a regular file of known size, adds the file to the part p, and returns 1.
 * Otherwise returns 0. If the size that fstat reports is wrong (core_has_size), removes a Content-Length of that size
 * from s. */
int wsgi_file_part(PyObject *result, core_response *s, core_part *p);
/* Returns a new reference to an iterator over blocks of a file-like object, or NULL without an exception if obj has no
 * read(). */
PyObject *wsgi_blocks(PyObject *obj);

/* --- wsgi_run.c ---------------------------------------------------------------- */

extern const core_kind wsgi_handlers;
/* Creates environ and start_response, which rec then owns, calls the handler of rec, and returns its result. */
static inline PyObject *wsgi_call(core_thread *t, core_record *rec) {
  const core_mount *m = core_mount_of(rec);
  if (rec->req.has_body && !(rec->run.input = wsgi_input_new(rec))) return NULL;
  if (!(rec->run.environ = wsgi_environ(rec, m->environ, rec->run.input))) return NULL;
  if (UNLIKELY(rec->run.socket) && wsgi_expose_socket(rec) < 0) return NULL;
  if (!(rec->run.start = wsgi_start_for(t, rec, m->start))) return NULL;
  PyObject *args[] = {rec->run.environ, rec->run.start};
  return PyObject_Vectorcall(m->callable, args, 2, NULL);
}
void wsgi_resume(core_thread *t, core_record *rec);
/* Logs and clears the current exception, and sends a response of status 500, or aborts the response if it has begun. */
void wsgi_fail(core_thread *t, core_record *rec);
/* Like wsgi_fail, for an error without an exception, which the line detail describes. */
void wsgi_fail_line(core_thread *t, core_record *rec, const char *detail);
