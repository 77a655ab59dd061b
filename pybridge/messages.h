/* What the application tells the server in addition to its responses: messages.c, errorlog.c, purge.c, channels.c
 * and ipc.c. Functions that take (module, args) are methods of module _fapws, see module.c.
 *
 * Messages are copied into one buffer, which belongs to messages.c until the event loop takes it (fapws_messages). Each
 * file has its own mutex, held for a moment and never while a thread waits for the GIL. */
#ifndef FAPWS_MESSAGES_H
#define FAPWS_MESSAGES_H

#include "response.h"
#include "shim_messages.h"

/* --- messages.c: any thread, without the GIL -------------------------------- */

/* A text, borrowed for the length of a call. */
typedef struct {
  const char *text;
  uint32_t len;
} fapws_bytes;
/* Maximum bytes of messages for error logs that wait for the loop. */
#define FAPWS_ERRORLOG_WAITS (4 << 20)
/* Copies a message of n texts for the loop, and wakes it; 0: there is no room. */
int fapws_try_enqueue(uint8_t kind, const fapws_bytes *texts, int n);
/* The same under the GIL. -1 with an exception. */
int fapws_enqueue_message(uint8_t kind, const fapws_bytes *texts, int n);

/* --- errorlog.c ------------------------------------------------------------- */

/* Writes a str, of whole lines, to an error log. Clears no exception and may set one. */
void fapws_errorlog_say(int number, PyObject *text);
PyObject *fapws_errorlog_method(PyObject *module, PyObject *args);
/* wsgi.errors of requests whose error log has that number. Borrowed; NULL: there is none. */
PyObject *fapws_errorlog_stream(int number);
/* Makes them. */
int fapws_errorlog_init(void);
/* In a child, of any kind, that was forked. */
void fapws_errorlog_forked(void);

/* --- purge.c ---------------------------------------------------------------- */

PyObject *fapws_cache_purge(PyObject *module, PyObject *text);

/* --- channels.c ------------------------------------------------------------- */

#define FAPWS_EVENT_COST 64 /* cost of an event in addition to its bytes */
#define FAPWS_LARGEST_EVENT (16 << 20) /* bytes of one before the settings are known */

/* Passes an event of n texts to the loop: True, taken. False: too much waits, which may change; None: and will as long as
 * this thread does. cost: bytes that count as waiting. */
PyObject *fapws_publish_event(uint8_t kind, const fapws_bytes *texts, int n, int64_t cost);
/* The sum that fapws_count_subscribers keeps. GIL not needed. */
int64_t fapws_subscriber_count(const char *name, size_t len);

PyObject *fapws_channel_publish(PyObject *module, PyObject *args);
PyObject *fapws_channel_answer(PyObject *module, PyObject *args);
PyObject *fapws_channel_subscribers(PyObject *module, PyObject *name);
PyObject *fapws_channel_watch(PyObject *module, PyObject *none);

/* The answer that makes a client a subscriber. */
typedef struct {
  PyObject_HEAD
  PyObject *names;   /* owned: str, as Fapws-Channel has them */
  PyObject *start;   /* owned: bytes, the beginning of the stream */
  PyObject *headers; /* owned: tuple of (name, value) */
} fapws_channel_object;
extern PyTypeObject fapws_ChannelAnswer_Type;
/* Puts the names of a channel object into the fields of its answer. */
int fapws_channel_head(fapws_start_object *s, PyObject *answer);
/* The callable that gets events for on_join and on_leave. A new reference. */
PyObject *fapws_presence_handler(void);

/* --- ipc.c ----------------------------------------------------------------- */

PyObject *fapws_ipc_post(PyObject *module, PyObject *args);
PyObject *fapws_ipc_watch(PyObject *module, PyObject *none);
/* Passes messages that have arrived to Python. On the asyncio thread. */
void fapws_ipc_deliver(void);

#endif
