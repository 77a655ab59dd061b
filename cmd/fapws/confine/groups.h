#pragma once

/* Returns the lowest limit that the control groups of this process have in a file of a controller, ULLONG_MAX without a
 * limit: "pids.max" of "pids", for example. file1 is its name in version 1 of control groups. root is the root
 * directory, without the slash at its end. Any thread. */
unsigned long long fapws_group_limit(const char *root, const char *controller, const char *file, const char *file1);
