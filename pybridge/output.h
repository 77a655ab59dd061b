/* Parts and their way to the event loop: part.c, publish.c, flow.c, garbage.c and deliver.c.
 *
 * A part belongs to its maker until it is published, then to the loop; part0 lives in its record. A part owns its buf, its
 * file and a reference to owner. The loop releases parts on any goroutine, without the GIL: those with an owner wait
 * for a thread that has the GIL (garbage.c). An input belongs to the list of its record, then to the thread that took it. */
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
/* Appends n bytes to p->buf, and tells where they are. -1 and MemoryError. */
int fapws_part_put(fapws_part *p, const char *data, size_t n, uint32_t *off, uint32_t *len);

/* Below this many bytes a body is copied: cheaper than to keep its object and to release that later. */
#define FAPWS_COPY_BELOW 16384
/* A part with n bytes of owner as its body: a copy, or a reference to owner. NULL with MemoryError. */
fapws_part *fapws_body_part(fapws_record *rec, PyObject *owner, const char *data, size_t n);
/* Parts of one response that are published together, linked by next; first NULL: none. The caller owns all but part0. */
typedef struct {
  fapws_record *rec;
  fapws_part *first, *last;
} fapws_chain;
/* Adds n bytes of owner to the body, as far as the Content-Length allows: a copy in the last part, or a reference in a
 * part behind it. After fapws_write_head. -1 and MemoryError. */
int fapws_add_body(fapws_chain *c, PyObject *owner, const char *data, size_t n);
/* Frees all parts but part0. */
void fapws_chain_abandon(fapws_chain *c);
/* Counts n more bytes of rec's body, and returns how many of them may be sent: what exceeds the Content-Length is cut
 * off, with a line in the error log. After fapws_write_head. */
int64_t fapws_fit_body(fapws_record *rec, int64_t n);
/* At the end of rec's body: whether it is shorter than its Content-Length, which the error log gets a line about. */
int fapws_body_is_short(fapws_record *rec);
/* A part that closes rec's WebSocket; copies reason. Any thread, without the GIL; NULL: no memory, without an exception. */
fapws_part *fapws_close_frame(fapws_record *rec, int code, const char *reason, size_t n);

/* --- publish.c: without the GIL --------------------------------------------- */

/* Ends the sleep of the event loop (exchange.Waker). Any thread. */
void fapws_signal_loop(void);
/* Puts a part where the loop finds it when it looks. Any thread. */
void fapws_push_part(fapws_part *p);
/* Hands a part to the loop, which may read and release it at once. */
void fapws_publish(fapws_thread *t, fapws_part *p);
/* The same with all parts of a chain. */
void fapws_publish_chain(fapws_thread *t, const fapws_chain *c);
/* Wakes the loop if it does not know of all published parts. */
void fapws_notify(fapws_thread *t);

/* --- deliver.c: without the GIL --------------------------------------------- */

/* fapws_mode.deliver of the pool. */
void fapws_pool_deliver(fapws_record *rec, fapws_input *in);
/* fapws_mode.forget of the pool: what websocket.c has not given up before, there is not. */
void fapws_pool_forget(fapws_record *rec);
/* Puts the records that fapws_pool_deliver has given something into the queue. On the event loop, without the mutex. */
void fapws_enqueue_delivered(void);
/* Puts rec into the queue unless it is there, or runs, or takes no inputs. Any thread, without the mutex. */
void fapws_schedule(fapws_record *rec);
/* Puts rec, which runs, behind the records that wait. */
void fapws_give_way(fapws_record *rec);
/* Frees a list of inputs. */
void fapws_free_inputs(fapws_input *in);

/* --- flow.c ----------------------------------------------------------------- */

void fapws_flow_init(void);
/* Gives rec, a request that t has taken, back to the loop if that has recalled it, or if the answers ahead of it are
 * large or too many run. 1: rec is the loop's until it is resumed. GIL not needed. */
int fapws_defer(fapws_thread *t, fapws_record *rec);
/* Whether fapws_defer has to be asked. */
static inline int fapws_may_defer(fapws_record *rec) {
  return rec->pipeline != NULL || __atomic_load_n(&rec->recalled, __ATOMIC_RELAXED);
}
/* Whether no request may be started before the loop has dealt with the answers that there are. */
static inline int fapws_loop_is_behind(void) {
  return __atomic_load_n(&fapws_the_pool.shared.unseen, __ATOMIC_SEQ_CST) > FAPWS_UNSEEN_MAX;
}
/* Whether rec's client is too far behind. */
int fapws_must_wait(fapws_record *rec);
/* Marks rec as waiting for the client unless there is room now; 1 if parked. */
int fapws_park(fapws_record *rec);
/* Blocks the thread, without the GIL, until rec's client has caught up, the timeout expires,
 * or nothing is to be sent to it any more; seconds < 0: no limit. Returns whether
 * there is room. */
int fapws_wait_for_client(fapws_record *rec, double seconds);
/* Makes all senders that wait so continue, and returns when they are gone. The mutex is held. */
void fapws_release_senders(fapws_record *rec);
/* After write(): sleeps while rec's client is too far behind. */
void fapws_wait_for_room(fapws_record *rec);
/* fapws_mode.cancelled of the pool. */
void fapws_pool_cancelled(fapws_record *rec);
/* Whether rec's response is no longer wanted. Any thread. */
int fapws_is_cancelled(fapws_record *rec);

/* --- garbage.c -------------------------------------------------------------- */

/* Drops the objects of parts that the loop has released. */
void fapws_collect_garbage(void);

#endif
