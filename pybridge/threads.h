/* The threads of the pool: threads.c and monitor.c. Without the GIL; the pool's mutex is held.
 *
 * fapws_thread objects live as long as the process: fapws_the_pool.threads owns them, and a thread that ends leaves its
 * object to the next one. Only the thread itself changes what pool.h does not say is guarded. */
#ifndef FAPWS_THREADS_H
#define FAPWS_THREADS_H

#include "pool.h"

/* Gives the queue to an idle thread, if no thread has it. The lowest first: thread 0 is the one that the script's own
 * objects belong to, and the others get to retire. */
void fapws_appoint_drainer(void);
/* Starts one more thread, if that is possible. */
void fapws_spawn_thread(void);

#endif
