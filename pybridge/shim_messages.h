/* Messages between Go and the Python side, in addition to requests and responses. Go sees this header.
 *
 * None of it needs the GIL, and all of it is safe on any thread, unless a comment says otherwise. Texts are copied.
 * fapws_messages gives its memory to the caller. */
#ifndef FAPWS_SHIM_MESSAGES_H
#define FAPWS_SHIM_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

/* --- messages.c ------------------------------------------------------------ */

/* Kinds of messages from the application to the server. */
enum {
  FAPWS_PURGE = 1,   /* one text: a pattern of fapws.cache.purge, JSON */
  FAPWS_EVENT,       /* four: name of the channel, id, type, data */
  FAPWS_BROADCAST,   /* four: place of a WebSocket in PATHS, group (empty: all), op (1 byte), message */
  FAPWS_JOIN,        /* two: a WebSocket (ticket and serial of its record, uint32 each), group */
  FAPWS_LEAVE,       /* as FAPWS_JOIN */
  FAPWS_ERROR_LINES, /* two: number of an error log (int), lines for it */
  FAPWS_WARNING,     /* one: a line for the error log of the server */
};

/* Returns the messages since the last call: n bytes of malloc, which the caller frees, or NULL.
 * A message is its kind (1 byte), its length (4 bytes, native byte order) and its texts,
 * each with its length. Any thread. */
char *fapws_messages(size_t *n);

/* --- errorlog.c ------------------------------------------------------------ */

/* Adds an error log: a regular file that package logfile also writes, and rotates
 * before it exceeds max bytes (0: any) and, by time, at until (seconds since 1970). path is copied; NULL:
 * messages are dropped. Returns its number, 0: no memory. Before handlers run, on one thread. */
int fapws_errorlog_add(const char *path, int64_t max, int64_t until);
/* Reports that the first written messages passed to the loop for that log are in the file. Any thread. */
void fapws_errorlog_written(int number, uint64_t written, int64_t until);
/* The loop has ended: from now on messages are written whatever the size of the file. Any thread. */
void fapws_errorlog_direct(void);
/* Writes text, which may end within a line, to an error log; to stderr if number is 0 or the log cannot be written. Any
 * thread. */
void fapws_errorlog_write(int number, const char *text, size_t n);

/* --- channels.c ------------------------------------------------------------ */

/* Sets the number of subscribers of a channel, in this process or elsewhere:
 * fapws.subscribers returns the sum. Any thread. */
void fapws_count_subscribers(const char *name, size_t len, int elsewhere, int64_t subscribers);

/* --- ipc.c ---------------------------------------------------------------- */

/* Passes a message to the asyncio thread, if Python has asked for messages. 0: no room, the message is
 * lost. Copies both texts. Any thread. */
int fapws_ipc_put(const char *topic, size_t topic_len, const char *data, size_t n);

/* --- broadcast.c ----------------------------------------------------------- */

/* Places of broadcasts that belong to no entry of PATHS, whose places have several lines. */
#define FAPWS_PLACE_ASGI "asgi"     /* the groups of ASGI WebSockets (fapws.groups) */
#define FAPWS_PLACE_PYTHON "python" /* messages between the Python code of all processes (ipc.c) */

#endif
