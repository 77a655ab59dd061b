/* What the library knows of its process: see preload.c. */
#ifndef FAPWS_PRELOAD_H
#define FAPWS_PRELOAD_H

/* Variables of the environment by which a process knows that the library is to be its program: the descriptor and the
 * path of the library, as "3:/path", and the path of the interpreter. contrib/fapws/__main__.py sets them, too. */
#define FAPWS_LIBRARY "_FAPWS_LIBRARY"
#define FAPWS_INTERPRETER "_FAPWS_INTERPRETER"

/* All of it is set before main, and never changes. */
extern struct fapws_preload {
  int fd;                  /* the library, open; -1: another program has loaded it, and goes its own way */
  const char *path;        /* of the library; "" */
  const char *interpreter; /* as it was called, so that it finds its virtual environment; "" */
} fapws_preload;

#endif
