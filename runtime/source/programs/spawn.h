#pragma once

#include <stddef.h>

/* Starts a program, and may be called on any thread. text contains NUL-terminated strings: the program's path, argc
 * arguments, envc variables, and the working directory, "" for the current directory. in, out and err become
 * descriptors 0 to 2 of the program. Returns the process ID, or -1 with errno. The caller owns text. */
int fapws_spawn(char *text, int argc, int envc, int in, int out, int err);
