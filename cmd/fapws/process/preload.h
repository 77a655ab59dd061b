#pragma once

/* Environment variables that make a process use the library as its program: the descriptor and the path of the
 * library, such as "3:/path", and the path of the interpreter. contrib/fapws/__main__.py sets them, too. */
#define FAPWS_LIBRARY "_FAPWS_LIBRARY"
#define FAPWS_INTERPRETER "_FAPWS_INTERPRETER"

/* All fields are set before main and never change. */
extern struct fapws_preload {
  int fd;           /* the library, open; -1 if another program has loaded it */
  const char *path; /* of the library, or "" */
  /* as typed, so that the interpreter finds its virtual environment; or "" */
  const char *interpreter;
} fapws_preload;
