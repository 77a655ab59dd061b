#pragma once

#define FAPWS_WORKER_ROOT "_FAPWS_WORKER_ROOT"

/* Makes the directory whose absolute path is in FAPWS_WORKER_ROOT the root directory of this process. Must be called
 * only once. Returns 0 or errno. */
int fapws_chroot_enter(void);
