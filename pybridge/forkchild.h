/* A process that was forked for one request: forkchild.c. It owns its socket and its one record until it exits. Its
 * threads send under a mutex, which is taken without the GIL. */
#ifndef FAPWS_FORKCHILD_H
#define FAPWS_FORKCHILD_H

#include "messages.h"
#include "forkwire.h"

#include <signal.h>
#include <sys/types.h>

/* The signal on which a child writes its stack and kills itself. */
#define FAPWS_FORK_SHOW SIGQUIT
/* Blocks it in this thread and those that it starts, and stores the mask before in *before. */
void fapws_fork_hold_show(sigset_t *before);

/* The socket of the one request that this process was forked for (--fork), or -1. */
extern int fapws_fork_socket;
/* Sends a finished part to it, and frees the part. */
void fapws_fork_send(fapws_part *p);
/* Sends waiting messages to the server (messages.c). Any thread, with or without the GIL. */
void fapws_fork_said(void);
/* recvmsg(2) with a passed descriptor, or -1. */
ssize_t fapws_receive_with_file(int socket, void *buf, size_t n, int *file);
/* Answers the request on socket, and ends the process. GIL held. */
void fapws_fork_child(int socket) __attribute__((noreturn));

#endif
