/* Before Go starts, while the process has only one thread, this code passes the right to call chroot(2) to a second
 * process, the keeper (doc.go). */
#define _GNU_SOURCE
#include "chroot.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int keeper_fd = -1;
static pid_t keeper;

static void die(const char *what) {
  dprintf(2, "fapws: cannot prepare --chroot: %s: %s\n", what, strerror(errno));
  _exit(3);
}

static void close_all_but(int fd) {
  /* Close all descriptors except fd, because some are inherited from the supervisor. */
  for (int other = 0; other < 64; other++)
    if (other != fd) close(other);
}

static void keep(const char *dir, int fd) {
  char byte;
  int err = 0;
  close_all_but(fd);
  prctl(PR_SET_NAME, "fapws-chroot");
  if (read(fd, &byte, 1) != 1) _exit(0); /* the worker has ended */
  if (chroot(dir) != 0) err = errno;
  _exit(write(fd, &err, sizeof err) != sizeof err);
}

static void drop_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2];
  memset(none, 0, sizeof none);
  /* Without no_new_privs, a user who owns /etc in the new root directory could become root through a set-user-ID
   * program. */
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("PR_SET_NO_NEW_PRIVS");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capset, &header, none) != 0) die("capset");
}

__attribute__((constructor(103))) static void part(void) {
  const char *dir = getenv(FAPWS_WORKER_ROOT);
  int pair[2];
  if (!dir || !getenv("_FAPWS_WORKER")) return;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) die("socketpair");
  /* The keeper is cloned without an exit signal, so that an application that waits for its own children does not wait
   * for the keeper. */
  keeper = (pid_t)syscall(SYS_clone, (unsigned long)CLONE_FS, 0, 0, 0, 0);
  if (keeper < 0) die("clone");
  if (keeper == 0) keep(dir, pair[1]);
  close(pair[1]);
  keeper_fd = pair[0];
  drop_capabilities();
}

int fapws_chroot_enter(void) {
  char byte = 1;
  int err = EPERM; /* the keeper was not started */
  if (keeper_fd < 0) return err;
  if (write(keeper_fd, &byte, 1) == 1 && read(keeper_fd, &err, sizeof err) != sizeof err) err = EPERM;
  close(keeper_fd);
  keeper_fd = -1;
  while (waitpid(keeper, NULL, __WCLONE) < 0 && errno == EINTR) {
  }
  return err;
}
