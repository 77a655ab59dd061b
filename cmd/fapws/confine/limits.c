/* Checks the limits of the process in a constructor, which runs before Go's runtime and Python. Existing mappings and
 * threads count toward a limit. Therefore a check does not compare numbers, but allocates the memory or starts the
 * threads that the start needs, and releases them. If a limit is high enough, its check needs only one system call. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "groups.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* The resources that a start needs were measured with Go 1.26 and Python 3.11, and are rounded up. */
#define FILES 32
#define THREADS 12
#define STACK (MIB / 4)
#if UINTPTR_MAX > 0xffffffffu
#define RESERVED (1536 * MIB) /* includes 1,120 MiB that Go's allocator reserves for tables and does not use */
#define LARGE_STACK (256 * MIB)
#else
#define RESERVED (192 * MIB)
#define LARGE_STACK (32 * MIB)
#endif
#define WRITABLE (96 * MIB)

/* with less memory, the kernel keeps evicting pages of the program, even in a server without Python */
#define MEMORY (14 * MIB)

#define SMALL_MEMORY (512 * MIB)
#define LARGE_BLOCK (256 << 10)

/* To save time, threads are started as a test only if the limit on processes is lower than this number, or if stacks
 * are larger than LARGE_STACK. */
#define PLENTY_OF_PROCESSES 2000

#define FAIL(...) (fprintf(stderr, "fapws: " __VA_ARGS__), _exit(3))

static rlim_t limit_of(int resource) {
  struct rlimit l;
  return getrlimit(resource, &l) == 0 ? l.rlim_cur : RLIM_INFINITY;
}

static unsigned long long kib(rlim_t bytes) { return (unsigned long long)(bytes / 1024); }

static size_t default_stack(void) {
  pthread_attr_t attr;
  size_t size = 0;
  if (pthread_attr_init(&attr) != 0) return 0;
  pthread_attr_getstacksize(&attr, &size);
  pthread_attr_destroy(&attr);
  return size;
}

static int can_map(size_t n, int protection, int flags) {
  void *at = mmap(NULL, n, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return at != MAP_FAILED && munmap(at, n) == 0;
}

static void check_memory(rlim_t space, rlim_t data) {
  size_t stacks = THREADS * default_stack();
  if (space != RLIM_INFINITY && !can_map(RESERVED + stacks, PROT_NONE, MAP_NORESERVE))
    FAIL("address space limit of %llu KiB is too low (ulimit -v): the start reserves %llu KiB, although it uses little "
         "of them; "
         "raise the limit, or bound the memory with a cgroup instead (MemoryMax of systemd)\n",
         kib(space), kib(RESERVED + stacks));
  if (data != RLIM_INFINITY && !can_map(WRITABLE + stacks, PROT_READ | PROT_WRITE, MAP_NORESERVE))
    FAIL("data limit of %llu KiB is too low (ulimit -d): the start needs %llu KiB more than the program has; raise the "
         "limit, or "
         "bound the memory with a cgroup instead (MemoryMax of systemd)\n",
         kib(data), kib(WRITABLE + stacks));
}

static pthread_mutex_t all_started = PTHREAD_MUTEX_INITIALIZER;

static void *run(void *nothing) {
  pthread_mutex_lock(&all_started);
  pthread_mutex_unlock(&all_started);
  return nothing;
}

static void check_threads(rlim_t stack) {
  pthread_t threads[THREADS];
  int n = 0, error = 0;
  pthread_mutex_lock(&all_started);
  while (n < THREADS && (error = pthread_create(&threads[n], NULL, run, NULL)) == 0) n++;
  int stack_fits = n == THREADS || can_map(default_stack(), PROT_READ | PROT_WRITE, 0);
  pthread_mutex_unlock(&all_started);
  for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
  if (n == THREADS) return;
  if (!stack_fits)
    FAIL("stack limit of %llu KiB is too high (ulimit -s): %d threads with stacks of that size do not fit into memory; "
         "lower the limit\n",
         kib(stack), THREADS);
  FAIL("cannot start %d threads, only %d: %s; raise the limit of processes (ulimit -u, TasksMax of systemd, pids limit "
       "of the container)\n",
       THREADS, n, strerror(error));
}

#ifdef __GLIBC__
/* Where memory is small, large blocks are returned to the kernel as soon as they are freed. By default glibc would keep
 * blocks of the size of the largest freed block, in an arena for each thread, so that a few large responses need
 * several times their size. */
static void use_little_memory(unsigned long long memory) {
  if (memory > SMALL_MEMORY || getenv("MALLOC_MMAP_THRESHOLD_")) return;
  mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
  mallopt(M_ARENA_MAX, 2);
}
#else
static void use_little_memory(unsigned long long memory) { (void)memory; }
#endif

__attribute__((constructor(101))) static void check_limits(void) {
/* If a program other than fapws has loaded the library (package process), do not check the program's limits. */
#ifdef FAPWS_FORM_LIBRARY
  if (!getenv("_FAPWS_LIBRARY")) return;
#endif
  struct rlimit files;
  rlim_t stack = limit_of(RLIMIT_STACK), space = limit_of(RLIMIT_AS), data = limit_of(RLIMIT_DATA);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max < FILES)
    FAIL("limit of %llu open files is too low (ulimit -n); raise it to at least %d, and one for each connection\n",
         (unsigned long long)files.rlim_max, FILES);
  unsigned long long memory = fapws_group_limit("", "memory", "memory.max", "memory.limit_in_bytes");
  if (memory < MEMORY)
    FAIL("memory limit of %llu KiB is too low; raise it to at least %llu KiB (MemoryMax of systemd, memory limit of "
         "the container)\n",
         kib(memory), kib(MEMORY));
  unsigned long long machine = (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGESIZE);
  use_little_memory(memory < machine ? memory : machine);
  if (stack < STACK)
    FAIL("stack limit of %llu KiB is too low (ulimit -s); raise it to at least %llu KiB\n", kib(stack), kib(STACK));
  if (space != RLIM_INFINITY || data != RLIM_INFINITY) {
    check_memory(space, data);
#ifdef __GLIBC__
    /* Each arena reserves 64 MiB, and by default glibc would use one arena for each thread. */
    mallopt(M_ARENA_MAX, 2);
#endif
  }
  if (limit_of(RLIMIT_NPROC) < PLENTY_OF_PROCESSES ||
      fapws_group_limit("", "pids", "pids.max", "pids.max") < PLENTY_OF_PROCESSES ||
      (stack != RLIM_INFINITY && stack > LARGE_STACK))
    check_threads(stack);
}
