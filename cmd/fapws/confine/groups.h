#pragma once

/* Returns the lowest limit that the control groups of this process set, or ULLONG_MAX if there is no limit. The
 * parameter controller is, for example, "pids", and file is the name of the file with the limit, such as "pids.max".
 * file1 is the name of this file in version 1 of control groups. root is the root directory, without a slash at the
 * end. Any thread may call this function. */
unsigned long long fapws_group_limit(const char *root, const char *controller, const char *file, const char *file1);
