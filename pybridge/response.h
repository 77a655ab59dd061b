/* From what a handler returns to parts: start.c, fields.c, result.c, stream.c, file.c and error.c.
 *
 * All of it needs the GIL, on the thread that runs the record. Results are borrowed; an object that has to live longer (an
 * iterator, one with close()) becomes a reference of the record. A function that publishes the last part gives the record
 * back: the caller must not touch it any more. */
#ifndef FAPWS_RESPONSE_H
#define FAPWS_RESPONSE_H

#include "output.h"

/* --- start.c ---------------------------------------------------------------- */

extern PyTypeObject fapws_Start_Type;

/* Status and fields of a response: start_response, and the head of an ASGI exchange. */
typedef struct {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  fapws_record *rec; /* borrowed; NULL when not in a request */
  int status;
  PyObject *reason;  /* owned: str or NULL */
  char *buf;         /* malloc, freed with the object: fields, as on the wire */
  size_t len, cap;
  PyObject *list;    /* owned: response_headers, once the application has read it, else NULL */
  int64_t length;    /* Content-Length, -1 none */
  uint8_t called, sent, has_type, has_date, has_server, close_conn;
  uint8_t sends; /* FAPWS_SENDFILE and FAPWS_ACCEL, if those fields are in buf */
  uint8_t joins; /* Fapws-Channel is in buf */
} fapws_start_object;

/* A fresh or recycled object for rec; cls NULL: the built-in type. A new reference. */
PyObject *fapws_start_for(fapws_thread *t, fapws_record *rec, PyObject *cls);
/* Takes it, and the reference, back after the exchange. */
void fapws_start_done(fapws_thread *t, PyObject *start);
/* Brings buf up to date with response_headers. */
int fapws_start_settle(fapws_start_object *s);
/* Whether rec is, as it is now, answered with a file that a field names; -1 with an exception. */
int fapws_sends_file(fapws_record *rec);
/* Writes head fields of the first part. */
int fapws_start_fill(fapws_start_object *s, fapws_part *p);

/* --- part.c: heads, in rec->part0; see output.h for bodies -------------------- */

/* Writes the head of a response with the status and fields of s. whole: bytes of the body, -1 unknown; type: FAPWS_TYPE_ of
 * a body whose type s does not have. NULL with an exception. */
fapws_part *fapws_write_head(fapws_record *rec, fapws_start_object *s, int64_t whole, int type);
/* Writes the head that accepts a WebSocket. NULL with an exception. */
fapws_part *fapws_write_accept(fapws_record *rec, fapws_start_object *s, const char *subprotocol, size_t n);
/* Writes a whole response: n bytes of HTML. */
void fapws_write_page(fapws_record *rec, int status, const char *page, size_t n);

/* --- fields.c --------------------------------------------------------------- */

/* The text of a str as latin-1 bytes, which live as long as o; NULL with an exception that names what. */
const char *fapws_latin1_text(PyObject *o, const char *what, Py_ssize_t *len);
/* Whether s, n bytes, has no control characters (RFC 9110 §5.5). */
int fapws_clean_value(const char *s, Py_ssize_t n);
/* Checks and appends one field, or all of an iterable of pairs. */
int fapws_add_field(fapws_start_object *s, PyObject *name, PyObject *value);
int fapws_add_fields(fapws_start_object *s, PyObject *headers);
/* The same with pairs of bytes, as ASGI has them. */
int fapws_add_byte_fields(fapws_start_object *s, PyObject *headers);
void fapws_forget_fields(fapws_start_object *s);
/* Moves the value of a field that has a file sent to p. */
int fapws_take_sent(fapws_start_object *s, fapws_part *p);
/* The same for Fapws-Channel, of which there may be several. */
int fapws_take_channel(fapws_start_object *s, fapws_part *p);
/* Takes Fapws-Channel out of the fields. */
void fapws_forget_channel(fapws_start_object *s);

/* --- result.c --------------------------------------------------------------- */

/* 0: the response is published. 1: rec->iter is to be driven by fapws_stream.
 * -1: an exception is set; published parts stay published, and close() of result has run or will. */
int fapws_answer(fapws_thread *t, fapws_record *rec, PyObject *result);

/* --- stream.c --------------------------------------------------------------- */

/* Bytes of a chunk that an iterator or write() gave. A new reference to the
 * object that owns *data, or NULL with TypeError. *is_text as found. */
PyObject *fapws_chunk(PyObject *item, const char **data, Py_ssize_t *len, int *is_text);
/* Calls result.close() if there is one; errors are reported, not raised. */
void fapws_close_result(fapws_record *rec, PyObject *result);
/* Publishes one chunk, with the head if it is the first. */
int fapws_send_chunk(fapws_thread *t, fapws_record *rec, PyObject *item);
/* Drives rec->iter until it ends, must wait, or others want the thread. */
void fapws_stream(fapws_thread *t, fapws_record *rec);
/* Publishes the last part and gives up what rec holds. */
void fapws_stream_end(fapws_thread *t, fapws_record *rec, int failed);
/* Gives up everything rec holds; before its last part is published. */
void fapws_drop(fapws_thread *t, fapws_record *rec);
/* Whether a response to rec with that status has no body (RFC 9110 §6.4.1). */
int fapws_bodyless(const fapws_record *rec, int status);

/* --- file.c ----------------------------------------------------------------- */

extern PyTypeObject fapws_FileWrapper_Type;
/* If result is a real file or wraps one: fills p and returns 1. 0: it is not. */
int fapws_file_part(PyObject *result, fapws_part *p);
/* An iterator over blocks of a file-like object, a new reference; NULL without exception if
 * obj has no read(). */
PyObject *fapws_blocks(PyObject *obj);

/* --- error.c ---------------------------------------------------------------- */

/* PyErr_Fetch, with a value that is an exception object and knows its traceback. All NULL: there is no exception. */
void fapws_fetch_exception(PyObject **type, PyObject **value, PyObject **tb);
/* Whether value is an fapws.HTTPError, which is an answer. No exception is set. */
int fapws_is_http_error(PyObject *value);
/* Reports the current exception in the error log of rec with the request line and answers
 * 500, or breaks the response off when it has begun. Clears the exception. */
void fapws_fail(fapws_thread *t, fapws_record *rec);
/* The same for a failure without an exception: detail is one line about it. */
void fapws_fail_line(fapws_thread *t, fapws_record *rec, const char *detail);
/* Reports the current exception of an application whose response is complete: of
 * the request, the number of its error log, its method and target, and the client's address. */
void fapws_report_after(int log, PyObject *name, const char *line, int line_len, const char *addr, int addr_len);
/* Reports the current exception in the error log of rec, NULL: on stderr, with its subject. */
void fapws_report(const char *what, fapws_record *rec);
/* One line about rec, in its error log. */
void fapws_log(fapws_record *rec, const char *format, ...);

#endif
