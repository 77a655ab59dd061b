#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOEXEC_ONLY 4 /* CLOSE_RANGE_CLOEXEC */

static struct rlimit open_files; /* limit of open files when this process started */

/* Runs before Go raises the limit, because programs that use select(2) need descriptors below FD_SETSIZE. */
__attribute__((constructor(103))) static void remember(void) { getrlimit(RLIMIT_NOFILE, &open_files); }

static char *next(char *text) { return text + strlen(text) + 1; }

/* Becomes the program, in the child process of vfork. Until execve, all signals are blocked, because the child process
 * shares its parent's memory. Returns errno on failure. */
static int become(char *path, char **argv, char **envv, const char *dir, const int fds[3]) {
  struct sigaction by_default = {.sa_handler = SIG_DFL};
  /* ignore errors: some signals cannot be changed */
  for (int sig = 1; sig < NSIG; sig++) sigaction(sig, &by_default, NULL);
  setsid();
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
  int safe[3];
  for (int i = 0; i < 3; i++) /* dup2 would overwrite descriptors below 3 in fds */
    if ((safe[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3)) < 0) return errno;
  for (int i = 0; i < 3; i++)
    if (dup2(safe[i], i) < 0) return errno;
  /* fails before Linux 5.11; there, the close-on-exec flags of the server's descriptors must suffice */
  syscall(SYS_close_range, 3U, ~0U, CLOEXEC_ONLY);
  if (*dir && chdir(dir) < 0) return errno;
  setrlimit(RLIMIT_NOFILE, &open_files); /* on failure, the program has the server's limit */
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(path, argv, envv);
  return errno;
}

int fapws_spawn(char *text, int argc, int envc, int in, int out, int err) {
  const int fds[3] = {in, out, err};
  char **list = malloc(((size_t)argc + (size_t)envc + 2) * sizeof *list);
  if (!list) return -1;
  char *path = text, *p = next(text), **argv = list, **envv = list + argc + 1;
  for (int i = 0; i < argc; i++, p = next(p)) argv[i] = p;
  for (int i = 0; i < envc; i++, p = next(p)) envv[i] = p;
  argv[argc] = envv[envc] = NULL;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  volatile int failed = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    failed = become(path, argv, envv, p, fds);
    _exit(127);
  }
  if (pid < 0) failed = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  free(list);
  if (!failed) return pid;
  if (pid > 0) waitpid(pid, NULL, 0);
  errno = failed;
  return -1;
}
