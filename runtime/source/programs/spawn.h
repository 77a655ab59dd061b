#pragma once

#include <stddef.h>

/* Starts a program, on any thread. text contains, each with its NUL: the path, argc arguments, envc variables, and
 * the directory to start in, "" for the current one. in, out and err become its descriptors 0 to 2. Returns its
 * process number, or -1 with errno. The caller owns text. */
int fapws_spawn(char *text, int argc, int envc, int in, int out, int err);
