/* Return values of handlers, and the parts made of them: start.c, write.c, head.c, fields.c, result.c, stream.c,
 * file.c and error.c.
 *
 * With the GIL, on the thread that runs the record. Return values are borrowed; the record takes a reference to objects
 * that must live longer (iterators, objects with close()). A function that publishes the last part returns the record
 * to the event loop: the caller must not use it any more. */
#ifndef FAPWS_RESPONSE_H
#define FAPWS_RESPONSE_H

#include "output.h"

/* --- start.c ---------------------------------------------------------------- */

extern PyTypeObject fapws_Start_Type;

/* Status and fields of a response: start_response, and the head of an ASGI exchange. */
typedef struct {
  PyObject_HEAD vectorcallfunc vectorcall;
  fapws_record *rec; /* borrowed; NULL when not in a request */
  PyObject *sink;    /* owned: gets the arguments of write() in a process of --fork; else NULL */
  int status;
  PyObject *reason; /* owned: str or NULL */
  char *buf;        /* malloc, freed with the object: fields, as on the wire */
  size_t len, cap;
  PyObject *list; /* owned: response_headers, once the application has read it, else NULL */
  int64_t length; /* Content-Length, -1 none */
  uint8_t called, sent, has_type, has_date, has_server, close_conn;
  uint8_t sends;    /* FAPWS_SENDFILE and FAPWS_ACCEL, if those fields are in buf */
  uint8_t joins;    /* Fapws-Channel is in buf */
  uint8_t ends;     /* atomic: write() raises RuntimeError on threads other than that of rec */
  uint32_t writers; /* atomic: such threads in write() */
} fapws_start_object;

/* A fresh or recycled object for rec; cls NULL: the built-in type. A new reference. */
PyObject *fapws_start_for(fapws_thread *t, fapws_record *rec, PyObject *cls);
/* Releases the reference after the exchange; t may keep the object to use it again. */
void fapws_start_done(fapws_thread *t, PyObject *start);
/* Updates buf from response_headers. */
int fapws_start_settle(fapws_start_object *s);

/* --- head.c: heads, in rec->part0; see part.c for bodies --------------------- */

/* Whether a field of the response has a file sent; -1 with an exception. */
int fapws_sends_file(fapws_record *rec);
/* Writes the head of a response with the status and fields of s. whole: bytes of the body, -1 unknown; type:
 * FAPWS_TYPE_ of a body whose type s does not have. NULL with an exception. */
fapws_part *fapws_write_head(fapws_record *rec, fapws_start_object *s, int64_t whole, int type);
/* Writes the head that accepts a WebSocket. NULL with an exception. */
fapws_part *fapws_write_accept(fapws_record *rec, fapws_start_object *s, const char *subprotocol, size_t n);
/* Writes a whole response: n bytes of HTML. */
void fapws_write_page(fapws_record *rec, int status, const char *page, size_t n);

/* --- write.c ---------------------------------------------------------------- */

/* write() of a fapws_start_object: METH_O. */
PyObject *fapws_write(PyObject *start, PyObject *data);
/* The handler of rec has returned: ends write() on other threads, and waits for those that are in it. May give up the
 * GIL. */
void fapws_end_writes(fapws_record *rec);

/* --- fields.c --------------------------------------------------------------- */

/* The latin-1 bytes of a str, which live as long as o; NULL with an exception, whose message begins with what. */
const char *fapws_latin1_text(PyObject *o, const char *what, Py_ssize_t *len);
/* Whether s, n bytes, has no control characters but tabs (RFC 9110 §5.5). */
int fapws_clean_value(const char *s, Py_ssize_t n);
/* Validates and appends a field, or all fields of an iterable of pairs. */
int fapws_add_field(fapws_start_object *s, PyObject *name, PyObject *value);
int fapws_add_fields(fapws_start_object *s, PyObject *headers);
/* The same with pairs of bytes (ASGI). */
int fapws_add_byte_fields(fapws_start_object *s, PyObject *headers);
/* The same behind a body: ValueError also for a field that must not be there. */
int fapws_add_trailers(fapws_start_object *s, PyObject *headers);
void fapws_forget_fields(fapws_start_object *s);
/* Frees the cache of the calling thread, which ends. */
void fapws_forget_lines(void);
/* Moves the value of a field that has a file sent into p. */
int fapws_take_sent(fapws_start_object *s, fapws_part *p);
/* Moves all values of Fapws-Channel into p. */
int fapws_take_channel(fapws_start_object *s, fapws_part *p);
/* Removes Fapws-Channel. */
void fapws_forget_channel(fapws_start_object *s);

/* --- trailers.c ------------------------------------------------------------- */

/* http1.MaxTrailers and http1.MaxTrailerBytes. */
#define FAPWS_TRAILERS_MAX 100
#define FAPWS_TRAILERS_BYTES (16 << 10)
/* http1.ValidTrailer, of a token. Without the GIL, too. */
int fapws_valid_trailer(const char *name, size_t n);

/* --- result.c --------------------------------------------------------------- */

/* Answers with a return value. 0: the response is published. 1: fapws_stream has to drive rec->iter. -1 with an
 * exception: published parts stay published, and result.close() has been or will be called. */
int fapws_answer(fapws_thread *t, fapws_record *rec, PyObject *result);

/* --- stream.c --------------------------------------------------------------- */

/* The bytes of a chunk, and whether it is a str. A new reference to the owner of *data, or NULL with TypeError. */
PyObject *fapws_chunk(PyObject *item, const char **data, Py_ssize_t *len, int *is_text);
/* Calls result.close() if it exists; logs exceptions. */
void fapws_close_result(fapws_record *rec, PyObject *result);
/* Publishes one chunk, with the head if it is the first. */
int fapws_send_chunk(fapws_thread *t, fapws_record *rec, PyObject *item);
/* Drives rec->iter until it ends, has to wait, or yields the thread. */
void fapws_stream(fapws_thread *t, fapws_record *rec);
/* Publishes the last part, after fapws_drop. */
void fapws_stream_end(fapws_thread *t, fapws_record *rec, int failed);
/* Releases all objects of rec, before its last part is published. */
void fapws_drop(fapws_thread *t, fapws_record *rec);
/* Whether a response to rec with that status has no body (RFC 9110 §6.4.1). */
int fapws_bodyless(const fapws_record *rec, int status);

/* --- file.c ----------------------------------------------------------------- */

extern PyTypeObject fapws_FileWrapper_Type;
/* 1: result is a regular file, or wraps one, and p has it. 0: it does not. -1 with an exception. */
int fapws_file_part(PyObject *result, fapws_part *p);
/* An iterator over blocks of a file-like object, a new reference; NULL without an exception if obj has no read(). */
PyObject *fapws_blocks(PyObject *obj);

/* --- error.c ---------------------------------------------------------------- */

/* PyErr_Fetch with a normalized exception that has its traceback. All NULL: no exception is set. */
void fapws_fetch_exception(PyObject **type, PyObject **value, PyObject **tb);
/* Whether value is an fapws.HTTPError, which is a response. Sets no exception. */
int fapws_is_http_error(PyObject *value);
/* Logs the current exception with the request line, and answers 500, or aborts the response if it has begun. Clears the
 * exception. */
void fapws_fail(fapws_thread *t, fapws_record *rec);
/* The same for an error without an exception: detail is one line about it. */
void fapws_fail_line(fapws_thread *t, fapws_record *rec, const char *detail);
/* Logs the current exception of an application whose response is complete: with the number of its error log, the
 * beginning of the request, and the client's address. */
void fapws_report_after(int log, PyObject *name, const char *line, int line_len, const char *addr, int addr_len);
/* Logs the current exception in the error log of rec (NULL: on stderr); what: where it was raised. */
void fapws_report(const char *what, fapws_record *rec);
/* Writes a warning about rec to its error log. */
void fapws_log(fapws_record *rec, const char *format, ...);

#endif
