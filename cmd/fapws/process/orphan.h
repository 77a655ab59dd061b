#pragma once

/* fapws_orphan_watch makes the kernel send sig to this process when its parent dies, and kill this process limit
 * seconds later. A handler that is already installed for sig is called, too. Returns errno or 0. Must be called once,
 * on the main thread, because prctl(2) affects only the calling thread. */
int fapws_orphan_watch(int sig, int limit);

/* fapws_orphan_limit changes the limit, in seconds. Any thread may call this function. */
void fapws_orphan_limit(int limit);

/* fapws_orphan_end makes the kernel kill this process after the limit, unless the process ends earlier. Any thread may
 * call this function. */
void fapws_orphan_end(void);
