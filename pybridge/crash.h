/* The last line of a process that C code of the application ends: crash.c. Texts are borrowed for the call; nothing
 * here allocates or takes a lock. */
#ifndef FAPWS_CRASH_H
#define FAPWS_CRASH_H

/* Removes the handlers in a child of fork(). Async-signal-safe. */
void fapws_crash_forked(void);
/* Writes "fapws: " and three texts as one new line, and exits with the status of a crash. Async-signal-safe. */
void fapws_crash_exit(const char *text, const char *more, const char *rest) __attribute__((noreturn));

#endif
