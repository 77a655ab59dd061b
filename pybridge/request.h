/* Python objects of a request: environ.c, environcache.c, input.c and detachedsocket.c.
 *
 * Functions return new references, unless a comment says "borrowed". Objects that may outlive their request are
 * detached from its record first (fapws_drop). With the GIL, on the thread that runs the record. */
#ifndef FAPWS_REQUEST_H
#define FAPWS_REQUEST_H

#include "pool.h"

/* --- environ.c -------------------------------------------------------------- */

int fapws_environ_init(const fapws_pool_options *o);
/* environ of rec: a dict, or an instance of cls. input NULL: no body. A new reference. */
PyObject *fapws_environ(fapws_record *rec, PyObject *cls, PyObject *input);
/* Frees the caches of the calling thread, which ends. */
void fapws_forget_heads(void);
/* The method of rec, a str. A new reference. */
PyObject *fapws_method(const fapws_record *rec);

/* Iterates over the variables of mod_ssl in rec->tls. at begins with 0. 0: there are no more. No GIL needed. */
int fapws_next_variable(const fapws_record *rec, uint32_t *at, fapws_span *name, fapws_span *value);
/* "GET /x HTTP/1.1". A new reference. */
PyObject *fapws_request_line(fapws_record *rec);

/* --- environcache.c --------------------------------------------------------- */

/* The slot of the caches of heads for these fields, which have n bytes. */
#define FAPWS_HEAD_SLOTS 16
unsigned fapws_head_slot(const char *fields, size_t n);

/* --- input.c ---------------------------------------------------------------- */

extern PyTypeObject fapws_Input_Type;
/* wsgi.input of rec. A new reference. */
PyObject *fapws_input_new(fapws_record *rec);
/* wsgi.input of requests without a body. A new reference. */
PyObject *fapws_input_empty(void);
/* n existing bytes of a body in a file, from offset at. Releases the GIL while it reads. A new reference. */
PyObject *fapws_read_spool(int file, int64_t at, int64_t n);
/* Detaches the object from its record, which will be used again. */
void fapws_input_detach(PyObject *input);

/* --- detachedsocket.c ------------------------------------------------------- */

/* Puts rec->socket into rec->environ. */
int fapws_expose_socket(fapws_record *rec);
/* Whether the application has used it, so that there is no response. */
int fapws_socket_was_used(fapws_record *rec);
/* Closes the socket unless the application has it, and sets rec->taken if it was used. */
void fapws_close_socket(fapws_record *rec);

#endif
