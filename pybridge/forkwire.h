/* The messages between a forked child and package forkserver, in native byte order: both
 * ends are this executable. runtime/forkserver/wire.go has the same layouts. */
#ifndef FAPWS_FORKWIRE_H
#define FAPWS_FORKWIRE_H

#include "shim.h"

/* The first message on a child's socket; behind it come nfields fapws_field and
 * data_len bytes that the spans point into. With FAPWS_FORK_SPOOL the descriptor of
 * the body comes along (SCM_RIGHTS). */
typedef struct {
  uint32_t mount, version, flags, nfields, head_len, data_len, script_len, peer_len;
  fapws_span method, target, query, authority, path, addr, port, server_name, server_port, scheme, host, user, tls;
  fapws_span error_log; /* path of the host's; empty: stderr */
  int64_t size;         /* bytes of the body */
  uint64_t body_off, body_len;
} fapws_fork_request;

enum {
  FAPWS_FORK_HEAD_ONLY = 1,
  FAPWS_FORK_HAS_LENGTH = 2,
  FAPWS_FORK_CHUNKED = 4,
  FAPWS_FORK_SPOOL = 8,
  FAPWS_FORK_TRACED = 16,
  FAPWS_FORK_BY_FORM = 32
};

/* The answer of the child: a part of its response, or messages (messages.c). Behind it
 * come the texts, in the order of their lengths, and the body. With FAPWS_FORK_FILE a
 * descriptor comes along. */
typedef struct {
  uint32_t flags;
  int32_t status;
  uint32_t type, script;
  uint32_t reason, fields, name, options, path, send, channel; /* lengths in bytes */
  uint32_t unused;
  int64_t length, offset, count, body;
} fapws_fork_part;

enum {
  FAPWS_FORK_FIRST = 1,
  FAPWS_FORK_LAST = 2,
  FAPWS_FORK_FAILED = 4,
  FAPWS_FORK_DATE = 8,
  FAPWS_FORK_SERVER = 16,
  FAPWS_FORK_CLOSE = 32,
  FAPWS_FORK_ACCEL = 64,
  FAPWS_FORK_FAILURE = 128,
  FAPWS_FORK_PROGRAM = 256,
  FAPWS_FORK_FILE = 512,
  FAPWS_FORK_MESSAGES = 1024
};

/* An order or a report on the control socket (SOCK_SEQPACKET). */
typedef struct {
  uint32_t op;
  int32_t value;
  uint64_t id; /* of the child, chosen by package forkserver */
} fapws_fork_order;

enum {
  FAPWS_FORK_START = 1, /* fork; the descriptor of the child's socket follows */
  FAPWS_FORK_KILL,      /* log the stack of the child, and end it */
  FAPWS_FORK_STDERR,    /* a new descriptor 2 follows */
  FAPWS_FORK_STARTED,   /* value is its process number */
  FAPWS_FORK_FAILED_TO, /* value is errno */
  FAPWS_FORK_ENDED      /* value is the status of waitpid(2) */
};

#endif
