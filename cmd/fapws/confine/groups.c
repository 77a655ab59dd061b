/* Reads the limits that control groups set, before Go's runtime starts. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "groups.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Returns the number at the beginning of the file at path, or ULLONG_MAX if the file does not begin with a number. */
static unsigned long long number_in(const char *path) {
  char text[32];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (n <= 0 || text[0] < '0' || text[0] > '9') return ULLONG_MAX;
  text[n] = 0;
  return strtoull(text, NULL, 10);
}

/* Returns the lowest limit of a control group and of all groups above it. The control group is the directory
 * ROOT/TOP/GROUP. In this directory and in each directory above it, the limit is in a file with the name in the
 * parameter file. lowest_in shortens the text in group. */
static unsigned long long lowest_in(const char *root, const char *top, char *group, const char *file) {
  unsigned long long lowest = ULLONG_MAX;
  for (char *end = group + strlen(group);; *end = 0) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s%s/%s", root, top, group, file);
    unsigned long long limit = number_in(path);
    if (limit < lowest) lowest = limit;
    if (end == group || !(end = strrchr(group, '/'))) return lowest;
  }
}

/* Lines of /proc/self/cgroup (cgroups(7)) are "0::/GROUP" in version 2 and "8:pids:/GROUP" in version 1. */
unsigned long long fapws_group_limit(const char *root, const char *controller, const char *file, const char *file1) {
  char line[PATH_MAX], mark[32], top[64];
  unsigned long long lowest = ULLONG_MAX;
  snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
  snprintf(mark, sizeof mark, ":%s:", controller);
  snprintf(top, sizeof top, "/sys/fs/cgroup/%s", controller);
  FILE *groups = fopen(line, "re");
  while (groups && fgets(line, sizeof line, groups)) {
    char *group = strchr(line, '/');
    if (!group) continue;
    group[strcspn(group, "\n")] = 0;
    unsigned long long limit = ULLONG_MAX;
    if (strncmp(line, "0::", 3) == 0)
      limit = lowest_in(root, "/sys/fs/cgroup", group, file);
    else if (strstr(line, mark))
      limit = lowest_in(root, top, group, file1);
    if (limit < lowest) lowest = limit;
  }
  if (groups) fclose(groups);
  return lowest;
}
