/* A container whose seccomp profile is older than clone3 may refuse this system call with EPERM. glibc then cannot
 * start a thread, because it tries clone only after ENOSYS, and Go's runtime would abort before the program could
 * report the reason. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_clone3
#define SYS_clone3 435 /* the number of clone3 on all machines */
#endif

static const char refused[] =
    "fapws: cannot start threads: the system refuses clone3 (operation not permitted), as an old seccomp profile of "
    "Docker does; "
    "update Docker and libseccomp, or start the container with --security-opt seccomp=unconfined\n";

static void *nothing(void *argument) { return argument; }

/* Runs before Go's runtime. The call of clone3 always fails; EINVAL means that the system supports it. */
__attribute__((constructor(101))) static void check(void) {
  pthread_t thread;
  if (syscall(SYS_clone3, NULL, 0) != -1 || errno != EPERM) return;
  if (pthread_create(&thread, NULL, nothing, NULL) == 0) {
    pthread_join(thread, NULL);
    return;
  }
  if (write(STDERR_FILENO, refused, sizeof refused - 1) < 0) _exit(3);
  _exit(3);
}
