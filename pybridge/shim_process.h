/* The whole process: descriptors, crashes and forks. Go sees this header.
 *
 * Descriptors that are passed stay the caller's, and open. Texts are copied, unless a comment says otherwise. None of
 * it needs the GIL. */
#ifndef FAPWS_SHIM_PROCESS_H
#define FAPWS_SHIM_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* --- descriptors.c --------------------------------------------------------- */

/* From now on the application cannot close the descriptors in table (package descriptors), which has n elements and
 * stays valid until the process ends. NULL: it can close every descriptor. Before the application is loaded. */
void fapws_descriptors(uint64_t *table, unsigned n);

/* --- crash.c --------------------------------------------------------------- */

/* From now on a crash in C code, or os._exit(), is reported in one line. name is the application that is being
 * loaded, and is copied: the process then exits with status 3. NULL: it has been loaded. One thread at a time. */
void fapws_crash_watch(const char *name);
/* The line about a crash is also sent to the socket fd, in a message that begins with the len bytes of before, at
 * most 64. fd stays open, and before is copied. Once, before fapws_crash_watch. */
void fapws_crash_tell(int fd, const void *before, size_t len);

/* --- gocrash.c -------------------------------------------------------------- */

/* Returns the descriptor for debug.SetCrashOutput, which the caller owns, or -1. Once. */
int fapws_gocrash_watch(void);
/* Go's runtime needs fd. Before the application is loaded. */
void fapws_gocrash_needs(int fd);

/* --- fork.c ---------------------------------------------------------------- */

/* Children that the application forks will close fd, a listener or another descriptor that the server never closes, and
 * all connections accepted from it. Any thread, but one at a time. */
void fapws_keep_from_children(int fd);

#endif
