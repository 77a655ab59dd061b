#pragma once

/* fapws_orphan_watch makes the kernel send sig to this process when its parent dies, and kill the process limit seconds
 * later. The handler of sig that is already installed receives sig, too. Returns errno or 0. Call it once, on the main
 * thread, because prctl(2) affects only the calling thread. */
int fapws_orphan_watch(int sig, int limit);

/* fapws_orphan_limit changes the limit in seconds, on any thread. */
void fapws_orphan_limit(int limit);

/* fapws_orphan_end makes the kernel kill this process after the limit unless it ends before. Any thread may call this
 * function. */
void fapws_orphan_end(void);
