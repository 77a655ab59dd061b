#pragma once

#define FAPWS_WORKER_ROOT "_FAPWS_WORKER_ROOT"

/* Makes the directory in FAPWS_WORKER_ROOT, an absolute path, the root directory of this process. Called once. Returns
 * 0 or errno. */
int fapws_chroot_enter(void);
