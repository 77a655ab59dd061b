/* What forkserver.c needs of forkchild.c. */
#ifndef FAPWS_FORKCHILD_H
#define FAPWS_FORKCHILD_H

#include "bridge.h"
#include "forkwire.h"

#include <signal.h>
#include <sys/types.h>

/* The signal that has a child show its stack. */
#define FAPWS_FORK_SHOW SIGQUIT

/* As recvmsg(2), with a descriptor that came along, or -1. */
ssize_t fapws_receive_with_file(int socket, void *buf, size_t n, int *file);
/* Answers the request on socket, and ends the process. GIL held. */
void fapws_fork_child(int socket) __attribute__((noreturn));

#endif
