/* Stacks of threads and tasks, and the end of those that take too long. Go sees this header.
 *
 * A snapshot is the caller's, with its text. Its record is only a number to compare: the record may have ended. */
#ifndef FAPWS_SHIM_STACK_H
#define FAPWS_SHIM_STACK_H

#include "record.h"

/* --- stuck.c: without the GIL, on any thread --------------------------------- */

/* Takes rec out of the queue and ends it, if no thread has taken it. Returns whether it was there. */
int fapws_dequeue_expired(uintptr_t rec);
/* If a thread still runs the job of a snapshot, has it replaced (fapws_mode.replace), and returns 1. */
int fapws_mark_thread_stuck(int thread, uintptr_t rec, unsigned long jobs);

/* --- stack.c --------------------------------------------------------------- */

/* The job of a thread. */
typedef struct {
  fapws_record *rec;
  uint32_t serial;
  int thread;         /* its index; -1: the asyncio thread */
  unsigned long jobs; /* how many it had taken */
  char *stack;        /* malloc, or NULL; the caller frees it. File, line, function, each with a NUL, innermost first */
  size_t stack_len;
} fapws_stack_snapshot;

/* Takes the GIL, on any thread that is not Python's, and fills in the jobs of threads and tasks, at most max. Returns
 * their number. */
int fapws_sample_stacks(fapws_stack_snapshot *out, int max);
/* Takes the GIL in the same way. If a thread runs rec, as its job number jobs (0: any): fills *out, has the thread
 * raise fapws.Timeout as soon as it executes bytecode, and returns 1. */
int fapws_raise_timeout(uintptr_t rec, uint32_t serial, unsigned long jobs, fapws_stack_snapshot *out);
/* Which threads run callbacks of open WebSockets, without their stacks and without the GIL. Returns
 * how many of out, at most max, it has filled in. */
int fapws_running_callbacks(fapws_stack_snapshot *out, int max);
/* Where an active record is; *thread is set except for FAPWS_QUEUED. Any thread, without the GIL. */
enum {
  FAPWS_QUEUED,
  FAPWS_RUNNING,
  FAPWS_WAITING,
  FAPWS_PARKED,
  FAPWS_ANSWERED,
  FAPWS_OPEN,
  FAPWS_MESSAGES,
  FAPWS_AWAITING
};
int fapws_record_state(uintptr_t rec, int *thread);
/* Inline mode, any thread: the record that the loop runs, 0 for none, and the number of its job. */
uintptr_t fapws_inline_record(unsigned long *jobs);

/* --- asyncstack.c ---------------------------------------------------------- */

/* Takes the GIL in the same way. If the task of rec has not ended: fills *out, and returns 1 if the task will be
 * cancelled, 2 if it is running and fapws.Timeout is raised in it. */
int fapws_async_raise_timeout(uintptr_t rec, uint32_t serial, fapws_stack_snapshot *out);
/* Some time later, without the GIL: whether the asyncio thread is where it was, since the task has
 * not been cancelled yet, or still runs. */
int fapws_async_is_stuck(uintptr_t rec, uint32_t serial, int how, unsigned long jobs);
/* A number that changes with everything the asyncio thread does for the server. Any thread, no GIL. */
unsigned long fapws_async_progress(void);
/* Whether something waits for the asyncio thread, which has not moved since progress and runs nothing that
 * belongs to an active request: remains of one, a task of the application's own, a callback. 0 if it was given
 * up there already. Likewise. */
int fapws_async_is_stalled(unsigned long progress);
/* Notes that the thread is given up where it is: shutting down does not wait for it. Likewise. */
void fapws_async_give_up(void);
/* Takes the GIL in the same way, and fills in the stack of the asyncio thread. */
void fapws_async_take_snapshot(fapws_stack_snapshot *out);

/* --- profile.c ------------------------------------------------------------- */

/* Takes the GIL in the same way, and begins a profile that ends after a time. 0: one is being recorded; -1: an
 * exception, which it has printed. */
int fapws_profile_begin(double seconds);
/* Takes the GIL in the same way. The stacks of that profile as JSON, [{"frames": [...], "n": 1}, ...]; malloc, the
 * caller frees it; NULL: an exception. */
char *fapws_profile_stacks(void);

/* --- dump.c ---------------------------------------------------------------- */

/* Writes the stacks of all Python threads without the GIL, as faulthandler does,
 * and returns the file that holds them, from offset 0; not to be closed. -1: not
 * available, or the application has closed the file. Any thread, one at a time. */
int fapws_dump_stacks(void);

#endif
