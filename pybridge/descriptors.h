/* Descriptors of the server, which the application cannot close: descriptors.c. A descriptor stays its opener's; here
 * is only a mark. Any thread, without the GIL. */
#ifndef FAPWS_DESCRIPTORS_H
#define FAPWS_DESCRIPTORS_H

#include "cpython.h" /* Python.h goes before the headers of the system */

#include <stdio.h>

/* Protects fd, which code here has opened; does nothing if fd is -1. */
void fapws_descriptor_keep(int fd);
/* Ends the protection, before fd is closed or given to the application. */
void fapws_descriptor_release(int fd);
/* Whether this process is the server, not a child. */
int fapws_is_server(void);
/* Writes "FILE:LINE: " if caller, an address in the calling function, is a function of Python itself that Python code
 * has called. */
void fapws_write_caller(FILE *out, void *caller);

#endif
