/* What makes environs: environ.c, fieldnames.c and environcache.c. With the GIL. */
#ifndef FAPWS_ENVIRON_H
#define FAPWS_ENVIRON_H

#include "pool.h"

/* --- fieldnames.c ------------------------------------------------------------ */

/* What becomes of a field in environ. */
enum {
  FAPWS_FIELD_HEADER, /* HTTP_... */
  FAPWS_FIELD_TYPE,   /* CONTENT_TYPE */
  FAPWS_FIELD_DROP,   /* nothing: the server has it elsewhere, or it is dangerous */
};

typedef struct {
  const char *name; /* as in the table; fields match without regard to case */
  PyObject *key;    /* owned */
  uint8_t len, role, joined_by_semicolon;
} fapws_known_field;

int fapws_field_names_init(void);
/* NULL: the table does not have the name, which has n bytes. Sets no exception. */
const fapws_known_field *fapws_find_field(const char *name, size_t n);
/* The key of a name of n bytes, which must be ASCII: HTTP_USER_AGENT. A new reference. */
PyObject *fapws_field_key(const char *name, size_t n);

/* --- environ.c ---------------------------------------------------------------- */

/* Whether the calling thread has caches: not threads of the application, whose end is not noticed. */
int fapws_has_caches(void);
/* An environ that lacks the request line, and the rest that differs in each request. A new reference. */
PyObject *fapws_environ_of_fields(fapws_record *rec);
/* Puts the request line into env. */
int fapws_environ_put_line(PyObject *env, fapws_record *rec);

/* --- environcache.c ----------------------------------------------------------- */

/* fapws_environ_of_fields with the request line, from the cache if the last requests had the same. A new reference. */
PyObject *fapws_cached_environ(fapws_record *rec);
/* Frees the cache of the calling thread. */
void fapws_forget_environs(void);

#endif
