/* wsgi_: requests of synchronous handlers: environ, start_response, return values, and the parts made of them. asgi_
 * and live_ also use its heads and fields of responses.
 *
 * With the GIL, on the thread that runs the record, unless a comment says otherwise. Caches belong to their thread
 * (CORE_PER_THREAD). The record owns its environ, input, start and iterator; wsgi_drop releases them before the last
 * part is published. A function that publishes the last part returns the record to the event loop: the caller must
 * no longer use it. */
#pragma once

#include <sys/stat.h>

#include "core.h"

/* =============================================================================
 * Python objects of a request: wsgi_environ.c, wsgi_cache.c and wsgi_input.c.
 *
 * Objects that may outlive their request are detached from its record first (wsgi_drop). */

/* --- wsgi_environ.c -------------------------------------------------------------- */

int wsgi_environ_init(const core_options *o);
/* Creates environ for rec: a dict, or an instance of cls unless cls is NULL. input is NULL without a body. */
PyObject *wsgi_environ(core_record *rec, PyObject *cls, PyObject *input);
extern PyTypeObject wsgi_Disconnected_Type;
/* Detaches fapws.disconnected from rec, which will be reused: its result no longer changes. */
void wsgi_detach_disconnected(core_record *rec);
/* Frees the caches of the calling thread, which is about to end. */
void wsgi_forget_caches(void);
PyObject *wsgi_method(const core_record *rec);

/* Iterates over the variables of mod_ssl in rec->req.tls. *at begins with 0. Returns 0 after the last variable. Works
 * without the GIL. */
int wsgi_next_variable(const core_record *rec, uint32_t *at, core_span *name, core_span *value);

/* --- wsgi_cache.c --------------------------------------------------------- */

typedef struct wsgi_head wsgi_head;
#define WSGI_HEAD_SLOTS 16
typedef PyObject *wsgi_dict_of_fields(core_record *rec);
/* A dict from make with the request line that put_line adds. The dict comes from the cache slots if the last requests
 * had the same head. slots is NULL if the head must not be cached. */
PyObject *wsgi_dict_of_head(wsgi_head **slots, core_record *rec, wsgi_dict_of_fields *make,
                            int (*put_line)(PyObject *, const core_record *));
void wsgi_forget_heads(wsgi_head **slots);

enum {
  WSGI_FIELD_HEADER, /* as HTTP_... */
  WSGI_FIELD_TYPE,   /* as CONTENT_TYPE */
  WSGI_FIELD_DROP,   /* the server has the field elsewhere, or the field is dangerous */
};

typedef struct {
  const char *name; /* name of the field, which is compared without regard to case */
  PyObject *key;
  uint8_t len, role, joined_by_semicolon;
} wsgi_known_field;

int wsgi_field_names_init(void);
/* Returns the entry of a name of n bytes, or NULL if the table lacks it. Sets no exception. */
const wsgi_known_field *wsgi_find_field(const char *name, size_t n);
/* Returns the key of environ for a name of n bytes, which must be ASCII, such as HTTP_USER_AGENT. */
PyObject *wsgi_field_key(const char *name, size_t n);

/* --- wsgi_input.c ---------------------------------------------------------------- */

extern PyTypeObject wsgi_Input_Type;
/* Creates wsgi.input for rec; rec is NULL for requests without a body. */
PyObject *wsgi_input_new(core_record *rec);
/* Reads n existing bytes of a body in a file, from offset at. Releases the GIL while it reads. */
PyObject *wsgi_read_spool(int file, int64_t at, int64_t n);
/* Detaches wsgi.input from its record, which will be reused. */
void wsgi_input_detach(PyObject *input);
int wsgi_expose_socket(core_record *rec);
/* Whether the application has used the socket, so that the server sends no response. */
int wsgi_socket_was_used(core_record *rec);
/* Closes the socket unless the application owns it. Sets rec->run.taken if the application has used it. */
void wsgi_close_socket(core_record *rec);

/* --- wsgi_hints.c ---------------------------------------------------------------- */

extern PyMethodDef wsgi_early_hints_method;
/* Whether the client understands 103 (Early Hints). */
int wsgi_takes_hints(const core_record *rec);
/* Adds a value of Link to *part, which is created if needed. Hints are ignored if there are too many, if it is too
 * late, or if the client does not understand them. -1 with an exception for a wrong value. */
int wsgi_add_hint(core_record *rec, core_part **part, const char *value, Py_ssize_t n);
/* Sends p at once, unless it is NULL. */
void wsgi_send_hints(core_thread *t, core_record *rec, core_part *p);

/* =============================================================================
 * Return values of handlers, and the parts made of them: wsgi_start.c, wsgi_stream.c, wsgi_head.c, wsgi_fields.c,
 * wsgi_result.c, wsgi_file.c and wsgi_run.c.
 *
 * Return values of handlers are borrowed; the record takes a reference to objects that must live longer (iterators,
 * objects with close()). */

/* --- wsgi_start.c ---------------------------------------------------------------- */

extern PyTypeObject wsgi_Start_Type;

/* Status and fields of a response: start_response, and the head of an ASGI exchange. */
typedef struct {
  PyObject_HEAD vectorcallfunc vectorcall;
  core_record *rec; /* borrowed; NULL outside a request */
  PyObject *sink;   /* Owned: gets the arguments of write() in a process of --fork, otherwise NULL. */
  int status;
  PyObject *reason; /* owned: reason phrase of the status, a str, or NULL */
  char *buf;        /* Allocated by malloc, freed with the object: the header fields as they are sent. */
  size_t len, cap;
  PyObject *list; /* Owned: the list response_headers after the application has read it, otherwise NULL. */
  int64_t length; /* Content-Length, or -1 if there is none */
  uint8_t called, sent, has_type, has_date, has_server, close_conn;
  uint8_t sends; /* CORE_SENDFILE and CORE_ACCEL, if buf contains these fields */
  uint8_t joins;
  uint8_t ends;     /* atomic: write() raises RuntimeError on threads other than that of rec */
  uint32_t writers; /* atomic: number of other threads that are in write() */
} wsgi_start_object;

/* Returns a new or recycled object for rec. cls NULL means the built-in type. */
PyObject *wsgi_start_for(core_thread *t, core_record *rec, PyObject *cls);
/* Releases the reference after the exchange; t may keep the object to use it again. */
void wsgi_start_done(core_thread *t, PyObject *start);
/* Updates buf from response_headers. */
int wsgi_start_settle(wsgi_start_object *s);

/* --- wsgi_head.c: heads, in rec->part0; see core_output.c for bodies --------------------- */

/* Whether a field of the response makes the server send a file; -1 with an exception. */
int wsgi_sends_file(core_record *rec);
/* Writes the head of a response with the status and fields of s. whole is the length of the body in bytes, -1 if
 * unknown. type is the WSGI_TYPE_ of the body if s has no type. NULL with an exception. */
core_part *wsgi_write_head(core_record *rec, wsgi_start_object *s, int64_t whole, int type);
/* Writes the head that accepts a WebSocket. NULL with an exception. */
core_part *wsgi_write_accept(core_record *rec, wsgi_start_object *s, const char *subprotocol, size_t n);
void wsgi_write_page(core_record *rec, int status, const char *page, size_t n);
/* The limits are the same as http1.MaxTrailers and http1.MaxTrailerBytes. */
#define WSGI_TRAILERS_MAX 100
#define WSGI_TRAILERS_BYTES (16 << 10)
/* Whether a token may be the name of a trailer, as in http1.ValidTrailer. With or without the GIL. */
int wsgi_valid_trailer(const char *name, size_t n);

/* --- wsgi_fields.c --------------------------------------------------------------- */

/* Returns the latin-1 bytes of a str, which live as long as o, or NULL with an exception whose message begins with
 * what. */
const char *wsgi_latin1_text(PyObject *o, const char *what, Py_ssize_t *len);
/* Whether s, n bytes, has no control characters but tabs (RFC 9110 §5.5). */
int wsgi_clean_value(const char *s, Py_ssize_t n);
/* Validates and appends a field, or all fields of an iterable of pairs. */
int wsgi_add_field(wsgi_start_object *s, PyObject *name, PyObject *value);
int wsgi_add_fields(wsgi_start_object *s, PyObject *headers);
/* Does the same with pairs of bytes (ASGI). */
int wsgi_add_byte_fields(wsgi_start_object *s, PyObject *headers);
/* Does the same for trailers. Raises ValueError also for a field that must not be a trailer. */
int wsgi_add_trailers(wsgi_start_object *s, PyObject *headers);
void wsgi_forget_fields(wsgi_start_object *s);
/* Frees the cache of the calling thread, which is about to end. */
void wsgi_forget_lines(void);
int wsgi_take_sent(wsgi_start_object *s, core_part *p);
int wsgi_take_channel(wsgi_start_object *s, core_part *p);
void wsgi_forget_channel(wsgi_start_object *s);

/* --- wsgi_result.c --------------------------------------------------------------- */

/* Answers with a return value. Returns 0 if the response is published, 1 if wsgi_stream must drive rec->run.iter, -1
 * with an exception. After an exception, published parts remain published, and result.close() has been or will be
 * called. */
int wsgi_answer(core_thread *t, core_record *rec, PyObject *result);

/* --- wsgi_stream.c --------------------------------------------------------------- */

static inline int wsgi_read_chunk(PyObject *item, core_message *m) {
  return core_read_text(item, m, "a response must consist of str or bytes, not %.100s: %.200R");
}
/* Calls o.close() if o has one. Returns the result of close() or None: a new reference, or NULL with an exception. */
PyObject *wsgi_close(PyObject *o);
void wsgi_close_result(core_record *rec, PyObject *result);
int wsgi_send_chunk(core_thread *t, core_record *rec, PyObject *item);
/* Runs rec->run.iter until it ends, must wait, or yields the thread. */
void wsgi_stream(core_thread *t, core_record *rec);
void wsgi_stream_end(core_thread *t, core_record *rec, int failed);
/* Releases all objects of rec, before its last part is published. */
void wsgi_drop(core_thread *t, core_record *rec);
/* Whether a response to rec with that status has no body (RFC 9110 §6.4.1). */
int wsgi_bodyless(const core_record *rec, int status);
/* Implements write() of a wsgi_start_object (METH_O). */
PyObject *wsgi_write(PyObject *start, PyObject *data);
/* Ends write() on other threads after the handler of rec has returned, and waits for running calls. May release the
 * GIL. */
void wsgi_end_writes(core_record *rec);

/* --- wsgi_answers.c --------------------------------------------------------- */

typedef struct {
  PyObject_HEAD PyObject *options; /* owned: a str in JSON */
  PyObject *path;                  /* owned: PATH_INFO as bytes; for a program, SCRIPT_NAME followed by PATH_INFO */
  int program;
  uint32_t script_len;
} wsgi_static_object;
extern PyTypeObject wsgi_StaticAnswer_Type;
/* A return value that makes the client a subscriber of channels. */
typedef struct {
  PyObject_HEAD PyObject *names; /* owned: a str in the format of Fapws-Channel */
  PyObject *start;               /* owned: bytes that begin the stream */
  PyObject *headers;             /* owned: header fields, a tuple of (name, value) */
} wsgi_channel_object;
extern PyTypeObject wsgi_ChannelAnswer_Type;
extern PyMethodDef wsgi_answer_methods[];
int wsgi_channel_head(wsgi_start_object *s, PyObject *answer);

/* --- wsgi_file.c ----------------------------------------------------------------- */

extern PyTypeObject wsgi_FileWrapper_Type;
/* Makes p a part with a file. Returns 1 if result is, or wraps, a regular file of known size, otherwise 0; -1 with
 * an exception. If the result is 0 and the Content-Length in s is a wrong size that the file reports, removes it
 * from s. */
int wsgi_file_part(PyObject *result, wsgi_start_object *s, core_part *p);

/* Whether a regular file has as many bytes as its size says, unlike files of /proc and /sys. Also true for sparse
 * and empty files, which may have no blocks. */
int wsgi_has_size(int fd, const struct stat *st);
/* Makes an iterator over blocks of a file-like object, a new reference, or NULL without an exception if obj has no
 * read(). */
PyObject *wsgi_blocks(PyObject *obj);

/* --- wsgi_run.c ---------------------------------------------------------------- */

extern const core_kind wsgi_handlers;
/* Calls the handler of rec with environ and start_response, which rec then owns. Returns its result, a new
 * reference, or NULL with an exception. */
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
/* Logs the current exception with the request line, and answers 500, or aborts the response if it has begun. Clears the
 * exception. */
void wsgi_fail(core_thread *t, core_record *rec);
/* Does the same for an error without an exception; detail is one line about the error. */
void wsgi_fail_line(core_thread *t, core_record *rec, const char *detail);
