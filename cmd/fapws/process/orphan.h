#ifndef FAPWS_ORPHAN_H
#define FAPWS_ORPHAN_H

/* fapws_orphan_watch makes the kernel send sig to this process when its parent dies, which
 * the handler of sig that is installed already gets too, and kills the process limit
 * seconds later. Returns errno or 0. To be called once, on the main thread: what
 * prctl(2) sets belongs to the thread. */
int fapws_orphan_watch(int sig, int limit);

/* fapws_orphan_limit changes the seconds. Any thread. */
void fapws_orphan_limit(int limit);

/* fapws_orphan_end makes the kernel kill this process after the limit, if nothing has done so before. Any thread. */
void fapws_orphan_end(void);

#endif
