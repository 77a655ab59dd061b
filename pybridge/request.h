/* A request as Python sees it: environ.c, input.c and detachedsocket.c.
 *
 * Functions return new references, unless a comment says "borrowed". The objects of a request that outlive it are cut off
 * from its record first (fapws_drop). All of it needs the GIL, on the thread that runs the record. */
#ifndef FAPWS_REQUEST_H
#define FAPWS_REQUEST_H

#include "pool.h"

/* --- environ.c -------------------------------------------------------------- */

int fapws_environ_init(const fapws_pool_options *o);
/* environ of rec: a dict, or an instance of cls. input NULL: there is no body. A new reference. */
PyObject *fapws_environ(fapws_record *rec, PyObject *cls, PyObject *input);
/* The method of rec, a str. A new reference. */
PyObject *fapws_method(const fapws_record *rec);
/* Which of as many slots remembers heads with these fields, which have n bytes. */
#define FAPWS_HEAD_SLOTS 16
unsigned fapws_head_slot(const char *fields, size_t n);
/* "GET /x HTTP/1.1". A new reference. */
PyObject *fapws_request_line(fapws_record *rec);

/* --- input.c ---------------------------------------------------------------- */

extern PyTypeObject fapws_Input_Type;
/* wsgi.input of rec. A new reference. */
PyObject *fapws_input_new(fapws_record *rec);
/* wsgi.input of all requests without a body. Borrowed. */
PyObject *fapws_input_empty(void);
/* n bytes of a body in a file, from offset at, which exist. The GIL is not held while the disk is read. */
PyObject *fapws_read_spool(int file, int64_t at, int64_t n);
/* Cuts the object off from the record, which is about to be used again. */
void fapws_input_detach(PyObject *input);

/* --- detachedsocket.c ------------------------------------------------------- */

/* Puts rec->socket into rec->environ. */
int fapws_expose_socket(fapws_record *rec);
/* Whether the application has used it, so that there is no response. */
int fapws_socket_was_used(fapws_record *rec);
/* Closes what is left of it, and notes in rec->taken whether it was used. */
void fapws_close_socket(fapws_record *rec);

#endif
