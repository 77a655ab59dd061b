#ifndef FAPWS_CHROOT_H
#define FAPWS_CHROOT_H

/* The variable of the environment that has the root directory of a worker, an absolute path. */
#define FAPWS_WORKER_ROOT "_FAPWS_WORKER_ROOT"

/* Makes that the root directory of this process, once. Returns 0, or errno. */
int fapws_chroot_enter(void);

#endif
