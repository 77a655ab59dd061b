/* Stacks of threads and tasks: stack.c and asyncstack.c. With the GIL, which keeps fapws_thread.current as it is.
 *
 * Texts of snapshots belong to the caller (shim_stack.h). */
#ifndef FAPWS_STACK_H
#define FAPWS_STACK_H

#include "pool.h"
#include "shim_stack.h"

#include <stdio.h>

/* environ['fapws.disconnected'] */
extern PyMethodDef fapws_disconnected_method;
/* A record that has timed out. */
typedef struct {
  fapws_record *rec;
  uint32_t serial;
  unsigned long jobs;        /* number of its job, 0: any */
  fapws_stack_snapshot *out; /* borrowed */
  fapws_thread *thread;      /* that runs it; NULL: none */
  int cancelled;             /* its task will be cancelled */
} fapws_overdue;
/* Calls find(o), alone (parallel.h), which fills in *o->out, and raises fapws.Timeout in o->thread. Takes the GIL. */
void fapws_raise_in_thread(fapws_overdue *o, void (*find)(void *));
/* Withdraws a Timeout that was raised in t for a job that has ended. */
void fapws_withdraw_timeout(fapws_thread *t);
/* Inline mode, main thread: takes a signal, which ends waits of overdue handlers. */
void fapws_take_timeout_signal(void);
/* Writes file, line and function of a frame, each with a NUL. */
void fapws_write_frame(FILE *out, PyObject *frame);
/* The same for all frames of a thread, the innermost first. */
void fapws_write_stack(FILE *out, PyThreadState *state);
/* Fills in the job of t; out->stack is the caller's. */
void fapws_take_snapshot(fapws_thread *t, fapws_stack_snapshot *out);
/* The asyncio thread's part of fapws_sample_stacks. */
int fapws_async_sample_stacks(fapws_stack_snapshot *out, int max);
/* fapws_mode.state_of of the pool and of the asyncio thread. */
int fapws_pool_state_of(fapws_record *rec, int *thread);
int fapws_async_state_of(fapws_record *rec, int *thread);

#endif
