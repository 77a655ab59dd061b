/* Starting programs. */
#ifndef FAPWS_SPAWN_H
#define FAPWS_SPAWN_H

#include <stddef.h>

/* Starts a program; any thread. text has, each with its NUL: the path, argc
 * arguments, envc variables, the folder to start in ("": this one). in, out and
 * err become its descriptors 0 to 2. Returns its process number, or -1 with
 * errno. text is the caller's. */
int fapws_spawn(char *text, int argc, int envc, int in, int out, int err);

#endif
