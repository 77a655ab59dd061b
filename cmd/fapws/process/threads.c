/* A container with an old seccomp profile may refuse the system call clone3 with EPERM. glibc then cannot start a
 * thread, because glibc tries clone only after ENOSYS. Go's runtime would abort before the program could report the
 * reason. */
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

/* This constructor runs before Go's runtime. Its call of clone3 always fails; EINVAL means that the system supports
 * clone3. */
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
