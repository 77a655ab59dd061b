/* A piece of a response, from a Python thread to the event loop. Go sees this header.
 *
 * A thread with the GIL makes a part (part.c); once published it belongs to the event loop, and Handler.Release gives
 * it up, on any thread. It owns buf, file and a reference to owner. The first part of a response is record.part0, which
 * lives as long as its record. */
#ifndef FAPWS_PART_H
#define FAPWS_PART_H

#include <stddef.h>
#include <stdint.h>

/* Same layout as http1.Span: a range of bytes in a buffer. */
typedef struct {
  uint32_t off, len;
} fapws_span;

/* Same values as exchange.TypeHint. */
enum { FAPWS_TYPE_SET, FAPWS_TYPE_HTML, FAPWS_TYPE_BINARY, FAPWS_TYPE_JSON, FAPWS_TYPE_BY_NAME };

/* Response fields that have a file sent (bits). */
enum { FAPWS_SENDFILE = 1, FAPWS_ACCEL = 2 };

/* Same values as exchange.Op. */
enum {
  FAPWS_OP_BODY,
  FAPWS_OP_TEXT,
  FAPWS_OP_BINARY,
  FAPWS_OP_CLOSE,
  FAPWS_OP_CREDIT,
  FAPWS_OP_DEFERRED,
  FAPWS_OP_HAND_OVER
};

struct fapws_record;

typedef struct fapws_part {
  struct fapws_part *next;  /* in the list of finished parts, newest first */
  struct fapws_record *rec; /* borrowed: lives until its last part has been released */
  uint32_t ticket;
  uint8_t first, last, failed;
  uint8_t unseen; /* body_len is counted in fapws_shared.unseen */
  uint8_t type, has_date, has_server, close_conn;
  int32_t status;
  int64_t length;                    /* Content-Length of the whole body, -1 unknown */
  uint32_t reason_off, reason_len;   /* in buf */
  uint32_t fields_off, fields_len;   /* in buf; of a last part that is not the first: trailers */
  uint32_t name_off, name_len;       /* in buf: file name that gives the type */
  uint32_t static_off, static_len;   /* in buf: options of a Staticfile that answers instead */
  uint32_t path_off, path_len;       /* in buf: its PATH_INFO */
  uint8_t program;                   /* the Staticfile is a CGIApplication, and path is SCRIPT_NAME with PATH_INFO */
  uint32_t script_len;               /* length of SCRIPT_NAME */
  uint32_t send_off, send_len;       /* in buf: value of X-Sendfile, or of X-Accel-Redirect */
  uint8_t accel;                     /* it is the value of X-Accel-Redirect */
  uint32_t channel_off, channel_len; /* in buf: value of Fapws-Channel */
  uint8_t failure;                   /* the handler failed: the server may replace the page */
  uint8_t op;                        /* as exchange.Op; FAPWS_OP_BODY of a response */
  uint8_t websocket;                 /* the part accepts a WebSocket */
  uint8_t taken;                     /* the application has used record.socket */
  uint16_t code;                     /* of FAPWS_OP_CLOSE */
  uint32_t subprotocol_off, subprotocol_len; /* in buf: subprotocol of an accepted WebSocket */
  int64_t credit;                            /* of FAPWS_OP_CREDIT */
  int64_t behind;    /* to be sent after the server has numbered events up to this sum of costs (order.go) */
  const char *body;  /* in buf, behind the part, or in owner's memory; freed with it */
  uint32_t body_off; /* offset in buf, while buf may still move */
  size_t body_len;
  void *owner;  /* PyObject * that keeps body alive, or NULL; released by fapws_collect_garbage, under the GIL */
  int32_t file; /* descriptor, or -1; closed by Release */
  int64_t offset, count; /* bytes of file */
  char *buf;             /* malloc; freed with the part, kept with part0 */
  uint32_t used, cap;
} fapws_part;

#endif
