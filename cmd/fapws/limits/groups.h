#ifndef FAPWS_GROUPS_H
#define FAPWS_GROUPS_H

/* Returns the lowest number of processes and threads that the control groups of this process allow, ULLONG_MAX if they do not
 * limit it. root is the root directory, without the slash at its end. Any thread. */
unsigned long long fapws_group_limit(const char *root);

#endif
