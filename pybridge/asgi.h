/* ASGI 3 (https://asgi.readthedocs.io/en/stable/specs/main.html): the call of an application, its scope, and the
 * messages of HTTP and of WebSockets. On the asyncio thread, with the GIL. */
#ifndef FAPWS_ASGI_H
#define FAPWS_ASGI_H

#include "exchange.h"

/* --- asgi.c --- */
int fapws_asgi_init(void);
/* Calls the application; takes the reference to scope, which may be NULL. Returns as begin. */
PyObject *fapws_asgi_call(fapws_exchange *x, PyObject *scope);
/* Sends message now. A new reference to a coroutine, which waits for room. */
PyObject *fapws_asgi_send(fapws_exchange *x, PyObject *message);
/* The type of a message to send(): its index among texts, of which text has the str objects and [0] is "type"; it has
 * to be from first to last. -1 with an exception. */
int fapws_message_type(PyObject *message, PyObject *const *text, const char *const *texts, int first, int last);
/* Calls f with the values of two keys of message, NULL for those that it does not have. -1 with an exception. */
int fapws_with_values(fapws_exchange *x, PyObject *message, PyObject *first, PyObject *second,
                      int (*f)(fapws_exchange *, PyObject *, PyObject *));
/* A new message for receive(): a dict with its type. NULL with an exception. */
PyObject *fapws_asgi_message(PyObject *type);
/* Reports the exception of an application, and ends the exchange with 500 or by breaking it off. */
void fapws_asgi_raised(fapws_exchange *x);
/* Raises the OSError of send() to a disconnected client (ASGI 2.4). Always -1. */
int fapws_asgi_left(fapws_exchange *x);

/* --- asgihttp.c --- */
int fapws_asgi_http_init(void);
/* Sends http.response.start and http.response.body. -1 with an exception. */
int fapws_asgi_start(fapws_exchange *x, PyObject *message);
int fapws_asgi_body(fapws_exchange *x, PyObject *message);
/* Publishes p of x, whose body, if it is not in owner's memory, is in its buf. */
void fapws_exchange_publish(fapws_exchange *x, fapws_part *p);

/* --- trailers.c --- */
/* Sends http.response.trailers with these values, NULL for those that the message does not have. -1 with an exception.
 */
int fapws_send_trailers(fapws_exchange *x, PyObject *headers, PyObject *more);

/* --- asgiws.c --- */
/* Whether send() raises because the client disconnected. */
int fapws_has_left(fapws_exchange *x);

/* --- scope.c --- */
int fapws_scope_init(void);
/* The scope of rec (ASGI 3, "Connection Scope"): a new dict. */
PyObject *fapws_scope(fapws_record *rec);

/* Puts "tls", the TLS extension of ASGI, into the extensions of a scope, if the client uses TLS. -1 with an exception.
 * With the GIL. */
int fapws_put_tls(PyObject *extensions, const fapws_record *rec);

#endif
