#pragma once

/* Environment variables that make a process use the library as its program: the descriptor and the path of the
 * library, such as "3:/path", and the path of the interpreter. contrib/fapws/__main__.py sets them, too. */
#define FAPWS_LIBRARY "_FAPWS_LIBRARY"
#define FAPWS_INTERPRETER "_FAPWS_INTERPRETER"

/* All fields are set before main and never change. */
extern struct fapws_preload {
  /* Descriptor of the library; -1 if another program has loaded the library. */
  int fd;
  const char *path;
  /* path of the interpreter as typed, by which it finds its virtual environment, or "" */
  const char *interpreter;
} fapws_preload;
