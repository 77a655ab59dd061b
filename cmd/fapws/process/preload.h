#pragma once

/* Environment variables that make a process run the library as its program. The first variable contains the descriptor
 * and the path of the library, such as "3:/path". The second variable contains the path of the interpreter.
 * contrib/fapws/__main__.py sets both variables, too. */
#define FAPWS_LIBRARY "_FAPWS_LIBRARY"
#define FAPWS_INTERPRETER "_FAPWS_INTERPRETER"

/* All fields are set before the function main runs, and never change. */
extern struct fapws_preload {
  /* Descriptor of the library; -1 if a program other than fapws has loaded the library. */
  int fd;
  const char *path;
  /* path of the interpreter as the user typed it, from which Python finds its virtual environment; "" if unknown */
  const char *interpreter;
} fapws_preload;
