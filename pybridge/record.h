/* The memory that the event loop and Python share: one record for each exchange, and a few counters. Go sees this
 * header.
 *
 * Go allocates and recycles records. The fields of the first half are written by Go before fapws_flush and read-only
 * afterwards; the second half belongs to the thread that runs the record, until its last part is published. Python
 * gives up everything that the record owns before that (fapws_drop). Numbers and offsets cross; pointers to Go memory
 * do not. */
#ifndef FAPWS_RECORD_H
#define FAPWS_RECORD_H

#include "part.h"

/* Versions of HTTP; same values as http1.Version. */
enum { FAPWS_HTTP10, FAPWS_HTTP11, FAPWS_HTTP2 };

/* Same layout as http1.Field; spans into record.data. */
typedef struct {
  fapws_span name, value;
} fapws_field;

/* The next job of a record: run the request, take the next chunk of its iterator, call back with its inputs. */
enum { FAPWS_RUN, FAPWS_NEXT, FAPWS_INPUTS };

/* exchange.InputWindow and exchange.InputCost. */
#define FAPWS_INPUT_WINDOW (64 << 10)
#define FAPWS_INPUT_COST 64

/* Data that arrived for an exchange after it began (exchange.Input). Go mallocs it, the Python side frees it. */
typedef struct fapws_input {
  struct fapws_input *next;
  uint16_t code; /* of FAPWS_OP_CLOSE */
  uint8_t op, last;
  size_t len;  /* of data */
  char data[]; /* directly behind the rest, as Go expects */
} fapws_input;

/* The kinds of mounts; same values as MountKind. */
enum { FAPWS_WSGI, FAPWS_ASGI, FAPWS_ASYNC_HANDLER, FAPWS_WEBSOCKET };

/* State shared by pipelined requests of one connection. Allocated once for each connection slot, never freed. */
typedef struct {
  int64_t unacked; /* atomic: sum of record.unacked */
  int32_t running; /* atomic: requests that were started and have not published their last part */
} fapws_pipeline;

/* One exchange. Allocated by Go with calloc. */
typedef struct fapws_record {
  struct fapws_record *next; /* in the free list, a queue, or an inbox */
  uint32_t ticket;
  uint32_t mount;
  uint32_t log;       /* number of its error log (errorlog.c); 0: stderr */
  uint32_t cancelled; /* atomic; set by the loop */
  uint32_t serial;    /* differs each time the record is used */
  uint64_t since_ns;  /* CLOCK_MONOTONIC at submission; CLOCK_MONOTONIC_COARSE unless waits are counted (waits.h) */

  char *data; /* malloc: head, path, peer, body; freed or kept by Handler.recycle */
  size_t cap;
  fapws_field *fields; /* malloc, kept with the record */
  uint32_t nfields, fields_cap;
  fapws_span method, target, query, authority, path;
  fapws_span addr, port, server_name, server_port;
  fapws_span scheme, host, user;    /* empty: http, as in the request, not logged in */
  fapws_span tls;                   /* variables of mod_ssl, "NAME=value" with a NUL behind each; empty: no TLS */
  uint16_t tls_version, tls_cipher; /* as on the wire; 0: no TLS */
  const char *tls_server;           /* the server's certificate in PEM, never freed; NULL: not known */
  uint32_t script_len;
  uint32_t head_len, peer_len; /* peer_len: bytes from addr that environ has beside the head, without the port */
  uint8_t version;             /* FAPWS_HTTP10 to FAPWS_HTTP2 */
  uint8_t head_only, has_length, has_body, chunked, trailers; /* trailers: those of the response are sent */
  uint8_t by_form; /* the user has logged in by a form, not by Basic authentication */
  uint8_t foreign; /* no traceback for the client: it has asked for a name that others can give this machine */
  size_t body_off;
  int64_t size;  /* bytes of body */
  int32_t spool; /* descriptor of a body in a file, or -1; closed by the Python side */

  uint8_t job;
  uint8_t started;          /* the first part was published */
  uint8_t parked;           /* guarded by the pool's mutex: an iterator or write() waits for the client */
  uint8_t whole;            /* the declared length has been sent */
  uint8_t bodyless;         /* the head is the whole response: HEAD, 204, 304 */
  uint8_t single;           /* the result has len() 1: its first chunk is all */
  void *thread;             /* fapws_thread * that runs it and owns iter; NULL while queued */
  void *iter;               /* PyObject *, owned: yields chunks */
  void *result;             /* PyObject *, owned: close() is called on it */
  void *start;              /* PyObject *, owned: Start_response */
  void *input;              /* PyObject *, owned: wsgi.input, or NULL for the shared empty one */
  void *environ;            /* PyObject *, owned while the response is made */
  int64_t declared;         /* Content-Length the handler set, -1 none */
  int64_t sent;             /* body bytes published */
  uint64_t chunk_ns;        /* moving average of one next() */
  int64_t unacked;          /* atomic: published and not yet released bytes */
  int64_t event;            /* atomic: fapws_shared.events when its code published the last event; 0: none */
  int64_t behind;           /* event loop only: behind of the last part that was held back */
  fapws_pipeline *pipeline; /* of its connection; NULL: the request was not pipelined */
  uint8_t counted;          /* in pipeline->running */
  uint8_t resumed;          /* the event loop has decided that it runs */
  uint8_t multiplexed;      /* responses of its connection do not wait for each other */

  /* Of exchanges with inputs, and of those that the asyncio thread runs. */
  fapws_input *inputs, *inputs_tail;            /* guarded by the pool's mutex: in order of arrival; owned */
  struct fapws_record *event_next, *event_prev; /* guarded by the mutex: in the list of the asyncio thread */
  uint8_t events;                               /* guarded by the mutex: FAPWS_EVENT_ bits; not 0: in the list */
  uint8_t closing;                              /* guarded by the mutex: takes no more events */
  uint8_t more;                                 /* the body continues in inputs */
  uint8_t websocket;                            /* the client asks for a WebSocket */
  uint8_t handed; /* another process has accepted it, with this subprotocol and state (wshandover.c) */
  fapws_span subprotocol, state;
  uint8_t routed;  /* the server has rewritten path */
  uint8_t traced;  /* trace.h */
  size_t body_len; /* bytes of the body, or of its beginning, at body_off */
  int32_t socket;  /* the client's, for an application that implements WebSocket itself; 0: none. Closed by the Python
                      side */
  int64_t credit;  /* bytes of inputs that the application has taken since the last FAPWS_OP_CREDIT */
  void *socket_object; /* PyObject *, owned: environ's object for socket, or NULL */
  uint8_t taken;       /* the application has used socket */
  uint64_t closed_ns;  /* atomic: arrival of a WebSocket's close frame, 0: none yet; asyncio thread only */
  void *exchange;      /* fapws_exchange *, owned: lives with this record; NULL: none */

  /* Of WebSockets for synchronous code. */
  uint8_t open;       /* guarded by the pool's mutex: takes inputs */
  uint8_t scheduled;  /* guarded by the mutex: queued or running */
  uint32_t senders;   /* guarded by the mutex: threads that wait in send() */
  fapws_input *batch; /* owned: taken off inputs by the thread that runs the record */
  void *ws;           /* PyObject *, owned: argument of the callbacks */
  fapws_part part0;
} fapws_record;

/* Requests do not start while the event loop has not handled more than this many bytes of large parts: it bounds the
 * bytes that wait for clients. */
#define FAPWS_UNSEEN_MAX (8 << 20)

/* Counters that Go reads and writes without a call; all atomic. */
typedef struct {
  fapws_part *done;      /* stack of finished parts, newest first */
  uint32_t wake_pending; /* a wake-up of the event loop is under way */
  uint32_t queued;       /* queued requests */
  uint32_t turn;         /* inline mode: fapws_flush has records to run */
  uint32_t turning;      /* inline mode: fapws_flush runs records */
  uint32_t attended;     /* inline mode: finished parts are sent during a turn (Handler.Attend) */
  uint32_t unattended;   /* inline mode: an iterator had to stop because they are not */
  uint32_t messages;     /* fapws_messages would return messages */
  uint32_t purges;       /* bytes of purge patterns among them */
  uint32_t watched;      /* the application has registered on_join or on_leave */
  int64_t unseen;        /* bytes of large parts that the event loop has not handled */
  int64_t event_bytes;   /* bytes of published events that the server has not handled (Handler.Dealt) */
  int64_t events;        /* sum of the costs of all events since the start */
  int64_t others_event;  /* events when code that belongs to no record published its last event */
} fapws_shared;

#endif
