/* Messages of the application to the server, in addition to its responses: messages.c, errorlog.c, purge.c, channels.c
 * and ipc.c. Functions with (module, args) are methods of module _fapws, see module.c.
 *
 * Messages are copied into one buffer, which belongs to messages.c until the event loop takes it (fapws_messages). Each
 * file has a separate mutex, which is held briefly and never while a thread waits for the GIL. */
#ifndef FAPWS_MESSAGES_H
#define FAPWS_MESSAGES_H

#include "response.h"
#include "shim_messages.h"

/* --- messages.c: any thread, without the GIL -------------------------------- */

/* A text, borrowed for a call. */
typedef struct {
  const char *text;
  uint32_t len;
} fapws_bytes;
/* Maximum bytes of messages for error logs that wait for the event loop. */
#define FAPWS_ERRORLOG_WAITS (4 << 20)
/* Copies a message of n texts, and wakes the event loop; 0: out of memory, or the maximum is reached. */
int fapws_try_enqueue(uint8_t kind, const fapws_bytes *texts, int n);
/* The same under the GIL. -1 with an exception. */
int fapws_enqueue_message(uint8_t kind, const fapws_bytes *texts, int n);

/* --- errorlog.c ------------------------------------------------------------- */

/* Writes a str, of whole lines, to an error log. Clears no exception and may set one. */
void fapws_errorlog_say(int number, PyObject *text);
PyObject *fapws_errorlog_method(PyObject *module, PyObject *args);
PyObject *fapws_log_line(PyObject *module, PyObject *args);
/* wsgi.errors of requests with the error log of that number. Borrowed, or NULL without an exception. */
PyObject *fapws_errorlog_stream(int number);
/* Makes these objects. -1 with an exception. */
int fapws_errorlog_init(void);
/* Called in every forked child. */
void fapws_errorlog_forked(void);

/* --- purge.c ---------------------------------------------------------------- */

PyObject *fapws_cache_purge(PyObject *module, PyObject *text);

/* --- channels.c ------------------------------------------------------------- */

#define FAPWS_EVENT_COST 64            /* added to the bytes of an event */
#define FAPWS_LARGEST_EVENT (16 << 20) /* maximum bytes before the settings are known */

/* Sends an event of n texts to the event loop. True: accepted; False: the queue is full, retry; None: the queue is
 * full, and only this thread can drain it. cost: bytes that count as waiting. A new reference, or NULL with an
 * exception. */
PyObject *fapws_publish_event(uint8_t kind, const fapws_bytes *texts, int n, int64_t cost);
/* The sum of the numbers of fapws_count_subscribers. Without the GIL, too. */
int64_t fapws_subscriber_count(const char *name, size_t len);

PyObject *fapws_channel_publish(PyObject *module, PyObject *args);
PyObject *fapws_channel_answer(PyObject *module, PyObject *args);
PyObject *fapws_channel_subscribers(PyObject *module, PyObject *name);
PyObject *fapws_channel_watch(PyObject *module, PyObject *none);

/* A response that makes the client a subscriber. */
typedef struct {
  PyObject_HEAD PyObject *names; /* owned: str, as Fapws-Channel has them */
  PyObject *start;               /* owned: bytes, the beginning of the stream */
  PyObject *headers;             /* owned: tuple of (name, value) */
} fapws_channel_object;
extern PyTypeObject fapws_ChannelAnswer_Type;
/* Adds the fields of such a response. */
int fapws_channel_head(fapws_start_object *s, PyObject *answer);
/* The callable of the mount for on_join and on_leave. A new reference. */
PyObject *fapws_presence_handler(void);

/* --- ipc.c ----------------------------------------------------------------- */

PyObject *fapws_ipc_post(PyObject *module, PyObject *args);
PyObject *fapws_ipc_watch(PyObject *module, PyObject *none);
/* Passes received messages to Python. On the asyncio thread. */
void fapws_ipc_deliver(void);

#endif
