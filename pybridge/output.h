/* Parts to the event loop, and inputs from it: part.c, publish.c, flow.c, garbage.c and deliver.c.
 *
 * The thread that makes a part owns it until the part is published, then the event loop owns it; part0 is a member of
 * its record. A part owns its buf, its file and a reference to owner. Go releases parts on any goroutine, without the
 * GIL; parts with an owner are freed by a thread with the GIL (garbage.c). An input belongs to the list of its record,
 * then to the thread that took it. */
#ifndef FAPWS_OUTPUT_H
#define FAPWS_OUTPUT_H

#include "pool.h"

/* --- part.c ----------------------------------------------------------------- */

/* A part for rec with room in buf; to be published, or freed by the caller. NULL with MemoryError. */
fapws_part *fapws_part_new(fapws_record *rec, size_t room);
void fapws_part_reset(fapws_part *p, fapws_record *rec);
/* Room for n more bytes in p->buf; -1 and MemoryError. */
int fapws_part_reserve(fapws_part *p, size_t n);
/* Frees a part that is not part0, with everything it owns. */
void fapws_part_delete(fapws_part *p);
/* Appends n bytes to p->buf at *off. -1 and MemoryError. */
int fapws_part_put(fapws_part *p, const char *data, size_t n, uint32_t *off, uint32_t *len);

/* Smaller bodies are copied, which is cheaper than to keep their object and release it later. */
#define FAPWS_COPY_BELOW 16384
/* A part with n bytes of owner as its body: a copy, or a reference to owner. NULL with MemoryError. */
fapws_part *fapws_body_part(fapws_record *rec, PyObject *owner, const char *data, size_t n);
/* Parts of a response that are published together, linked by next; first NULL: none. The caller owns all but part0. */
typedef struct {
  fapws_record *rec;
  fapws_part *first, *last;
} fapws_chain;
/* Adds n bytes of owner to the body, as far as the Content-Length allows: a copy in the last part, or a reference in a
 * part behind it. After fapws_write_head. -1 and MemoryError. */
int fapws_add_body(fapws_chain *c, PyObject *owner, const char *data, size_t n);
/* Frees all parts but part0. */
void fapws_chain_abandon(fapws_chain *c);
/* Counts n more bytes of rec's body, and returns how many of them may be sent: the body is cut at its Content-Length,
 * with a line in the error log. After fapws_write_head. */
int64_t fapws_fit_body(fapws_record *rec, int64_t n);
/* Whether rec's complete body is shorter than its Content-Length; writes a line to the error log if so. */
int fapws_body_is_short(fapws_record *rec);
/* A part that closes rec's WebSocket; copies reason. Any thread, without the GIL; NULL: no memory, without an
 * exception. */
fapws_part *fapws_close_frame(fapws_record *rec, int code, const char *reason, size_t n);

/* --- publish.c: without the GIL --------------------------------------------- */

/* Wakes the event loop if it sleeps (eventloop.Waker). Any thread. */
void fapws_signal_loop(void);
/* Adds a part to the list of finished parts, without waking the event loop. Any thread. */
void fapws_push_part(fapws_part *p);
/* Publishes a part: the event loop may read and release it at once. */
void fapws_publish(fapws_thread *t, fapws_part *p);
/* The same with all parts of a chain. */
void fapws_publish_chain(fapws_thread *t, const fapws_chain *c);
/* Wakes the event loop if t has published parts since the last time. */
void fapws_notify(fapws_thread *t);
/* How many nanoseconds finished parts may wait before the event loop is woken, before and behind a job of m. Where
 * requests already wait long, a quarter more saves most wake-ups. */
uint64_t fapws_notify_after(const fapws_mount *m);

/* --- deliver.c: without the GIL --------------------------------------------- */

/* fapws_mode.deliver of the pool. */
void fapws_pool_deliver(fapws_record *rec, fapws_input *in);
/* fapws_mode.forget of the pool. */
void fapws_pool_forget(fapws_record *rec);
/* Queues the records that fapws_pool_deliver has given inputs. On the event loop, without the mutex. */
void fapws_enqueue_delivered(void);
/* Queues rec unless it is queued, runs, or takes no inputs. Any thread, without the mutex. */
void fapws_schedule(fapws_record *rec);
/* Queues rec, which runs, behind the other records. */
void fapws_give_way(fapws_record *rec);
/* Frees a list of inputs. */
void fapws_free_inputs(fapws_input *in);

/* --- flow.c ----------------------------------------------------------------- */

void fapws_flow_init(void);
/* Returns rec, a request that t has taken, to the event loop if earlier responses on its connection are large, or if
 * too many of its requests run. 1: rec belongs to the event loop until it is resumed.
 * Without the GIL, too. */
int fapws_defer(fapws_thread *t, fapws_record *rec);
/* Whether fapws_defer may return 1. */
static inline int fapws_may_defer(fapws_record *rec) { return rec->pipeline != NULL; }
/* Whether requests must not start because the event loop has to handle published parts first. */
static inline int fapws_loop_is_behind(void) {
  return __atomic_load_n(&fapws_the_pool.shared.unseen, __ATOMIC_SEQ_CST) > FAPWS_UNSEEN_MAX;
}
/* Whether too much of rec's response waits for the client. */
int fapws_must_wait(fapws_record *rec);
/* Parks rec until the client has received more, unless it has by now. 1: parked. */
int fapws_park(fapws_record *rec);
/* Waits, without the GIL, until rec's client has received enough, for at most that many seconds (< 0: no limit), or
 * until the WebSocket ends. Returns whether there is room. */
int fapws_wait_for_client(fapws_record *rec, double seconds);
/* Ends these waits, and returns when all of them have ended. The mutex is held. */
void fapws_release_senders(fapws_record *rec);
/* Waits after write() while too much waits for rec's client, until fapws_end_writes. */
void fapws_wait_for_room(fapws_record *rec);
/* Ends fapws_wait_for_room of other threads, and waits until *writers, which is atomic, is 0. Gives up the GIL. */
void fapws_wait_for_writers(const uint32_t *writers);
/* Wakes fapws_wait_for_writers. */
void fapws_writer_left(void);
/* fapws_mode.cancelled of the pool. */
void fapws_pool_cancelled(fapws_record *rec);
/* Whether the client of rec has disconnected. Any thread. */
int fapws_is_cancelled(fapws_record *rec);

/* --- garbage.c -------------------------------------------------------------- */

/* Frees released parts that own Python objects. With the GIL. */
void fapws_collect_garbage(void);

#endif
