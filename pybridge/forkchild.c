/* A process that was forked for one request (--fork): reads the request from its socket, runs the handler as in inline
 * mode, and writes parts of the response as they are published. */
#include "forkchild.h"
#include "descriptors.h"
#include "interp.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define P fapws_the_pool

int fapws_fork_socket = -1;
static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER; /* taken without the GIL where sending may wait */
static int answered;                                        /* the last part was sent */
static fapws_record *the_record;

/* --- the socket ------------------------------------------------------------- */

ssize_t fapws_receive_with_file(int socket, void *buf, size_t n, int *file) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {buf, n};
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  ssize_t got;
  *file = -1;
  do got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) memcpy(file, CMSG_DATA(c), sizeof *file);
  return got;
}

/* Receives n bytes; 0: the other side has closed the socket. */
static int receive_all(void *to, size_t n) {
  for (char *at = to; n > 0;) {
    ssize_t got = recv(fapws_fork_socket, at, n, MSG_WAITALL);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    at += got;
    n -= (size_t)got;
  }
  return 1;
}

/* Sends all pieces, and a descriptor with the first byte if file is not -1. */
static int send_all(struct iovec *iov, size_t n, int file) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {.room = {0}};
  struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
  if (file >= 0) {
    msg.msg_control = control.room;
    msg.msg_controllen = sizeof control.room;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(c), &file, sizeof file);
  }
  while (msg.msg_iovlen > 0) {
    ssize_t sent = sendmsg(fapws_fork_socket, &msg, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return 0;
    msg.msg_control = NULL;
    msg.msg_controllen = 0;
    while (msg.msg_iovlen > 0 && (size_t)sent >= msg.msg_iov->iov_len) {
      sent -= (ssize_t)msg.msg_iov->iov_len;
      msg.msg_iov++;
      msg.msg_iovlen--;
    }
    if (msg.msg_iovlen > 0) {
      msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + sent;
      msg.msg_iov->iov_len -= (size_t)sent;
    }
  }
  return 1;
}

/* --- sending parts ---------------------------------------------------------- */

/* Sends the messages of the application to the server (messages.c). */
static void send_messages(void) {
  if (!__atomic_load_n(&P.shared.messages, __ATOMIC_SEQ_CST)) return;
  size_t n;
  char *all = fapws_messages(&n);
  fapws_fork_part head = {.flags = FAPWS_FORK_MESSAGES, .body = (int64_t)n};
  struct iovec iov[] = {{&head, sizeof head}, {all, n}};
  if (n) send_all(iov, 2, -1);
  __atomic_store_n(&P.shared.event_bytes, 0, __ATOMIC_SEQ_CST); /* all that counted has been sent */
  __atomic_store_n(&P.shared.purges, 0, __ATOMIC_SEQ_CST);
  free(all);
}

void fapws_fork_said(void) {
  pthread_mutex_lock(&sending);
  send_messages();
  pthread_mutex_unlock(&sending);
}

static uint32_t flag(int is, uint32_t bit) { return is ? bit : 0; }

static int send_part(const fapws_part *p) {
  fapws_fork_part head = {
      .flags = flag(p->first, FAPWS_FORK_FIRST) | flag(p->last, FAPWS_FORK_LAST) | flag(p->failed, FAPWS_FORK_FAILED) |
               flag(p->has_date, FAPWS_FORK_DATE) | flag(p->has_server, FAPWS_FORK_SERVER) |
               flag(p->close_conn, FAPWS_FORK_CLOSE) | flag(p->accel, FAPWS_FORK_ACCEL) |
               flag(p->failure, FAPWS_FORK_FAILURE) | flag(p->program, FAPWS_FORK_PROGRAM) |
               flag(p->file >= 0, FAPWS_FORK_FILE),
      .status = p->status,
      .type = p->type,
      .script = p->script_len,
      .length = p->length,
      .offset = p->offset,
      .count = p->count,
      .body = (int64_t)p->body_len,
  };
  struct iovec iov[9] = {{&head, sizeof head}};
  const struct {
    uint32_t *len, off, n;
  } texts[] = {
      {&head.reason, p->reason_off, p->reason_len},    {&head.fields, p->fields_off, p->fields_len},
      {&head.name, p->name_off, p->name_len},          {&head.options, p->static_off, p->static_len},
      {&head.path, p->path_off, p->path_len},          {&head.send, p->send_off, p->send_len},
      {&head.channel, p->channel_off, p->channel_len},
  };
  for (int i = 0; i < 7; i++) {
    *texts[i].len = p->first ? texts[i].n : 0;
    iov[i + 1] = (struct iovec){p->buf + texts[i].off, *texts[i].len};
  }
  iov[8] = (struct iovec){(void *)p->body, p->body_len};
  return send_all(iov, 9, p->file);
}

void fapws_fork_send(fapws_part *p) {
  int last = p->last, sent;
  Py_BEGIN_ALLOW_THREADS pthread_mutex_lock(&sending);
  send_messages(); /* a page that the handler purged is gone before its response arrives */
  sent = send_part(p);
  pthread_mutex_unlock(&sending);
  Py_END_ALLOW_THREADS if (!sent)
      __atomic_store_n(&the_record->cancelled, 1, __ATOMIC_SEQ_CST); /* the client has disconnected: iterators end */
  if (p->file >= 0) close(p->file);
  p->file = -1;
  if (p != &the_record->part0) {
    fapws_part_delete(p);
  } else {
    Py_CLEAR(*(PyObject **)&p->owner);
  }
  if (last) answered = 1;
}

/* --- the request ------------------------------------------------------------ */

/* Receives the request; NULL: the server has ended. */
static fapws_record *receive_request(void) {
  fapws_fork_request q;
  int spool;
  ssize_t got = fapws_receive_with_file(fapws_fork_socket, &q, sizeof q, &spool);
  if (got <= 0 || !receive_all((char *)&q + got, sizeof q - (size_t)got)) return NULL;
  fapws_record *rec = calloc(1, sizeof *rec);
  if (!rec) return NULL;
  rec->fields = calloc(q.nfields + 1, sizeof *rec->fields);
  rec->data = malloc(q.data_len + 1);
  if (!rec->fields || !rec->data || !receive_all(rec->fields, q.nfields * sizeof *rec->fields) ||
      !receive_all(rec->data, q.data_len))
    return NULL;
  rec->cap = q.data_len;
  rec->nfields = rec->fields_cap = q.nfields;
  rec->mount = q.mount;
  if (q.version > FAPWS_HTTP2) return NULL;
  rec->version = (uint8_t)q.version;
  rec->method = q.method, rec->target = q.target, rec->query = q.query, rec->authority = q.authority,
  rec->path = q.path;
  rec->addr = q.addr, rec->port = q.port, rec->server_name = q.server_name, rec->server_port = q.server_port;
  rec->scheme = q.scheme, rec->host = q.host, rec->user = q.user, rec->tls = q.tls;
  rec->script_len = q.script_len, rec->head_len = q.head_len, rec->peer_len = q.peer_len;
  rec->head_only = (q.flags & FAPWS_FORK_HEAD_ONLY) != 0;
  rec->has_length = (q.flags & FAPWS_FORK_HAS_LENGTH) != 0;
  rec->chunked = (q.flags & FAPWS_FORK_CHUNKED) != 0;
  rec->traced = (q.flags & FAPWS_FORK_TRACED) != 0;
  rec->by_form = (q.flags & FAPWS_FORK_BY_FORM) != 0;
  rec->has_body = q.size > 0;
  rec->size = q.size;
  rec->spool = spool;
  rec->body_off = (size_t)q.body_off;
  rec->body_len = (size_t)q.body_len;
  rec->routed = 1; /* path is not in the head */
  rec->job = FAPWS_RUN;
  rec->part0.file = -1;
  if (q.error_log.len) {
    char *path = strndup(rec->data + q.error_log.off, q.error_log.len);
    rec->log = path ? (uint32_t)fapws_errorlog_add(path, 0, INT64_MAX) : 0;
    free(path);
    fapws_errorlog_direct();
    if (fapws_errorlog_init() < 0) fapws_report("creating wsgi.errors of hosts; using stderr", NULL);
  }
  return rec;
}

/* --- the end ---------------------------------------------------------------- */

static void call_quietly(const char *module_name, const char *function) {
  PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), module_name); /* NULL: it was not imported */
  PyObject *done = module ? PyObject_CallMethod(module, function, NULL) : NULL;
  if (PyErr_Occurred()) PyErr_Print();
  Py_XDECREF(done);
}

/* Waits for deferred calls and for threads of the application, as python3 does on exit. The atexit functions run in the
 * fork server. */
__attribute__((noreturn)) static void finish(void) {
  call_quietly("fapws._later", "_finish");
  call_quietly("threading", "_shutdown");
  fapws_metrics_said();
  fapws_fork_said();
  fapws_stdio_flush();
  _exit(0);
}

void fapws_fork_hold_show(sigset_t *before) {
  sigset_t show;
  sigemptyset(&show);
  sigaddset(&show, FAPWS_FORK_SHOW);
  pthread_sigmask(SIG_BLOCK, &show, before);
}

static void kill_itself(int signal) { kill(getpid(), SIGKILL); }

/* FAPWS_FORK_SHOW shows where all threads are, whatever they do (see faulthandler), which then calls the handler
 * before it: the process ends when all is written, however long that takes. */
static void show_stack_on_signal(void) {
  struct sigaction last = {.sa_handler = kill_itself};
  sigaction(FAPWS_FORK_SHOW, &last, NULL);
  PyObject *kw = Py_BuildValue("{s:i,s:O,s:O}", "file", 2, "all_threads", Py_True, "chain", Py_True);
  Py_XDECREF(fapws_call_with(fapws_import("faulthandler", "register"), Py_BuildValue("(i)", FAPWS_FORK_SHOW), kw));
  PyErr_Clear(); /* only the stack is missing then */
  sigset_t show;
  sigemptyset(&show);
  sigaddset(&show, FAPWS_FORK_SHOW);
  pthread_sigmask(SIG_UNBLOCK, &show, NULL);
}

void fapws_fork_child(int socket) {
  prctl(PR_SET_NAME, "fapws-fork");
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* of the fork server */
  fapws_forked = 0;                 /* set again if the handler forks */
  fapws_fork_socket = socket;
  fapws_descriptors_forked();
  fapws_metrics_forked();
  fapws_thread *t = P.threads[0];
  if (!(the_record = receive_request())) _exit(0);
  show_stack_on_signal();
  fapws_run(t, the_record);
  while (!answered && t->inbox) { /* an iterator that has yielded the thread */
    fapws_record *rec = t->inbox;
    t->inbox = t->inbox_tail = NULL;
    fapws_run(t, rec);
  }
  finish();
}
