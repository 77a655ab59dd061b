/* Writes the last line of a process in which the application makes Go's runtime crash. The application can do so by
 * closing a descriptor of Go's poller, or by using all memory that a limit permits. Without this file, Go's runtime
 * would write "fatal error: ..." and a dump of all goroutines.
 *
 * debug.SetCrashOutput makes Go write a copy of the dump to a pipe that has room for only one write. The first write
 * makes the kernel send a signal to this process. The handler of this signal runs while Go waits for room in the pipe
 * for its second write. If the handler finds no cause in the application, the crash is a bug of the server: the handler
 * makes room in the pipe, and Go continues its dump. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "core.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNAL 51                 /* a real-time signal that neither glibc nor Python uses (cmd/fapws/process) */
#define LEAST_MEMORY (64ul << 20) /* Go requests memory from the kernel in pieces of this size. */

static int ends[2] = {-1, -1};
static struct {
  int fd;
  ino_t inode;
} polls[8]; /* descriptors without which Go's runtime cannot work */
static int npolls;

static int write_number(char *to, unsigned n) {
  char digits[12];
  int len = 0, i = 0;
  do digits[len++] = (char)('0' + n % 10);
  while (n /= 10);
  while (len > 0) to[i++] = digits[--len];
  to[i] = 0;
  return i;
}

static int has_memory(void) {
  void *at = mmap(NULL, LEAST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at != MAP_FAILED && munmap(at, LEAST_MEMORY) == 0;
}

static void on_crash(int sig, siginfo_t *info, void *context) {
  if (info->si_code <= 0 || info->si_fd != ends[0]) return;
  struct stat now;
  char number[12];
  for (int i = 0; i < npolls; i++)
    if (fstat(polls[i].fd, &now) != 0 || now.st_ino != polls[i].inode) {
      write_number(number, (unsigned)polls[i].fd);
      core_crash_exit("the application closed descriptor ", number,
                      ", which belongs to the server; close only descriptors that the "
                      "application has opened");
    }
  if (!has_memory())
    core_crash_exit("out of memory: ", "",
                    "a limit (ulimit -v or -d) leaves less than 64 MiB; raise it, or limit the memory with a cgroup "
                    "instead (MemoryMax of systemd)");
  char rest[4096];
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  if (read(ends[0], rest, sizeof rest) < 0) return;
}

int core_gocrash_watch(void) {
  if (pipe2(ends, O_CLOEXEC | O_DIRECT) != 0) return -1;
  struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigemptyset(&action.sa_mask);
  if (fcntl(ends[1], F_SETPIPE_SZ, 4096) < 0 || sigaction(SIGNAL, &action, NULL) != 0 ||
      fcntl(ends[0], F_SETOWN, getpid()) != 0 || fcntl(ends[0], F_SETSIG, SIGNAL) != 0 ||
      fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK) != 0) {
    close(ends[0]);
    close(ends[1]);
    return -1;
  }
  return ends[1];
}

void core_gocrash_end(void) {
  if (ends[0] >= 0) fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

void core_gocrash_needs(int fd) {
  CORE_CHECK(CORE_BEFORE | CORE_LOADING);
  struct stat st;
  if (npolls < (int)(sizeof polls / sizeof *polls) && fstat(fd, &st) == 0) {
    polls[npolls].fd = fd;
    polls[npolls++].inode = st.st_ino;
  }
}
