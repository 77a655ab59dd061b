#pragma once

/* Returns the lowest limit of the control groups of this process in a file of a controller, for example in "pids.max"
 * of "pids"; ULLONG_MAX if there is no limit. file1 is the name of the file in version 1 of control groups. root is the
 * root directory, without the slash at its end. Any thread. */
unsigned long long fapws_group_limit(const char *root, const char *controller, const char *file, const char *file1);
