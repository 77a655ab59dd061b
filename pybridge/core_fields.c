/* Validates the header fields of a response once, and stores them in the form in which they are sent. */
#include "core.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const uint8_t token_char[256] = {['!'] = 1,         ['#'] = 1,         ['$'] = 1,        ['%'] = 1, ['&'] = 1,
                                        ['\''] = 1,        ['*'] = 1,         ['+'] = 1,        ['-'] = 1, ['.'] = 1,
                                        ['^'] = 1,         ['_'] = 1,         ['`'] = 1,        ['|'] = 1, ['~'] = 1,
                                        ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1};

const char *core_latin1_text(PyObject *o, const char *what, Py_ssize_t *len) {
  if (UNLIKELY(!PyUnicode_Check(o)))
    return PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", what, Py_TYPE(o)->tp_name), NULL;
#if PY_VERSION_HEX < 0x030c0000
  if (PyUnicode_READY(o) < 0) return NULL;
#endif
  if (UNLIKELY(PyUnicode_KIND(o) != PyUnicode_1BYTE_KIND))
    return PyErr_Format(PyExc_ValueError, "%s %.200R cannot be encoded as latin-1", what, o), NULL;
  *len = PyUnicode_GET_LENGTH(o);
  return (const char *)PyUnicode_1BYTE_DATA(o);
}

int core_clean_value(const char *s, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if (UNLIKELY(c < 0x20 || c == 0x7f) && c != '\t') return 0;
  }
  return 1;
}

static int reserve(core_response *s, size_t n) {
  size_t want = s->len + n;
  if (LIKELY(want <= s->cap)) return 0;
  size_t cap = s->cap ? s->cap : 512;
  while (cap < want && cap <= SIZE_MAX / 2) cap *= 2;
  char *buf = cap >= want ? realloc(s->buf, cap) : NULL;
  if (!buf) return PyErr_NoMemory(), -1;
  s->buf = buf;
  s->cap = cap;
  return 0;
}

static int is_name(const char *name, size_t n, const char *known) {
  return strlen(known) == n && strncasecmp(name, known, n) == 0;
}

/* Returns the line of a field in s->buf, or NULL if s lacks the field, and stores the next line in *next. */
static char *find_line(const core_response *s, const char *name, char **next) {
  size_t n = strlen(name);
  for (char *line = s->buf, *end = s->buf + s->len; line < end; line = *next) {
    *next = memchr(line, '\n', (size_t)(end - line));
    *next = *next ? *next + 1 : end;
    if ((size_t)(*next - line) > n && line[n] == ':' && strncasecmp(line, name, n) == 0) return line;
  }
  return NULL;
}

static void remove_field(core_response *s, const char *name) {
  char *next, *line = find_line(s, name, &next);
  if (!line) return;
  memmove(line, next, (size_t)(s->buf + s->len - next));
  s->len -= (size_t)(next - line);
}

static const char *const sendfile = "X-Sendfile", *const accel = "X-Accel-Redirect";

int core_take_sent(core_response *s, core_part *p) {
  p->accel = !(s->sends & CORE_SENDFILE);
  const char *name = p->accel ? accel : sendfile;
  char *next, *line = find_line(s, name, &next);
  if (line) {
    const char *value = line + strlen(name) + 2;
    size_t n = (size_t)(next - value) - 2;
    if (core_part_put(p, value, n, &p->send_off, &p->send_len) < 0) return -1;
  }
  remove_field(s, sendfile);
  remove_field(s, accel);
  return 0;
}

static const char *const channel = "Fapws-Channel";

int core_take_channel(core_response *s, core_part *p) {
  if (s->status != 200) { /* an error page does not subscribe the client, even if the application sets the field in all
                           * responses */
    core_forget_channel(s);
    return 0;
  }
  for (char *next, *line; (line = find_line(s, channel, &next));) {
    const char *value = line + strlen(channel) + 2;
    size_t n = (size_t)(next - value) - 2;
    /* The first call makes enough room for all values of the field, so later calls do not move the buffer. */
    if (core_part_reserve(p, s->len + n + 2) < 0) return -1;
    if (!p->channel_len) p->channel_off = p->used;
    if (p->channel_len) memcpy(p->buf + p->used, ", ", 2), p->used += 2;
    memcpy(p->buf + p->used, value, n);
    p->used += (uint32_t)n;
    p->channel_len = p->used - p->channel_off;
    remove_field(s, channel);
  }
  remove_field(s, "Content-Type"); /* the event loop writes the Content-Type of server-sent events */
  s->joins = 0;
  return 0;
}

void core_forget_channel(core_response *s) {
  for (; s->joins && find_line(s, channel, &(char *){NULL});) remove_field(s, channel);
  s->joins = 0;
}

/* Records a field that makes the server send a file. Returns 0 if the value of the field is empty, otherwise 1. The
 * field replaces an earlier field of the same name. */
static int note_sent(core_response *s, const char *name, int which, const char *text, Py_ssize_t len) {
  if (s->sends & which) remove_field(s, name);
  s->sends &= (uint8_t)~which;
  while (len && (*text == ' ' || *text == '\t')) text++, len--;
  if (len) s->sends |= (uint8_t)which;
  return len > 0;
}

static int set_length(core_response *s, PyObject *value, const char *text, Py_ssize_t n) {
  int64_t length = 0;
  int bad = n == 0 || n > 18;
  for (Py_ssize_t i = 0; i < n && !bad; i++) {
    bad = text[i] < '0' || text[i] > '9';
    length = length * 10 + (text[i] - '0');
  }
  if (bad) return core_raise(PyExc_ValueError, "Content-Length %R is not a number of bytes", value);
  if (s->length >= 0 && s->length != length)
    return core_raise(PyExc_ValueError, "conflicting Content-Lengths %lld and %lld", (long long)s->length,
                      (long long)length);
  s->length = length;
  return 0;
}

static int has_token(const char *value, Py_ssize_t n, const char *token) {
  size_t len = strlen(token);
  for (Py_ssize_t i = 0; i + (Py_ssize_t)len <= n; i++)
    if (strncasecmp(value + i, token, len) == 0) return 1;
  return 0;
}

/* OURS: the field is ignored, because the server determines its value; for example, a hop-by-hop field (RFC 9110
 * §7.6.1, PEP 3333). TYPE: the field is Content-Type, and replaces an earlier Content-Type. SINGLE: the line of the
 * field must not be cached. */
enum { PLAIN, TYPE, SINGLE, OURS, BAD };

/* Removes an earlier field of the same name, because only the last field counts, and returns kind. */
static inline int only(core_response *s, uint8_t *has, const char *name, int kind) {
  if (*has) remove_field(s, name);
  *has = 1;
  return kind;
}

static int special_field(core_response *s, const char *name, size_t n, PyObject *value, const char *text,
                         Py_ssize_t len) {
  switch (name[0] | 0x20) {
  case 'c':
    if (is_name(name, n, "Content-Type")) return only(s, &s->has_type, "Content-Type", TYPE);
    if (is_name(name, n, "Content-Length")) return set_length(s, value, text, len) < 0 ? BAD : OURS;
    if (!is_name(name, n, "Connection")) return PLAIN;
    if (has_token(text, len, "close")) s->close_conn = 1;
    return OURS;
  case 'd': return is_name(name, n, "Date") ? only(s, &s->has_date, "Date", SINGLE) : PLAIN;
  case 'f':
    if (!is_name(name, n, channel)) return PLAIN;
    while (len && (*text == ' ' || *text == '\t')) text++, len--;
    s->joins |= len > 0;
    return len ? SINGLE : OURS;
  case 's':
    if (is_name(name, n, "Server")) return only(s, &s->has_server, "Server", SINGLE);
    return is_name(name, n, "Set-Cookie") ? SINGLE : PLAIN;
  case 't':
    return is_name(name, n, "Transfer-Encoding") || is_name(name, n, "Trailer") || is_name(name, n, "Trailers") ||
                   is_name(name, n, "TE")
               ? OURS
               : PLAIN;
  case 'p': /* hop-by-hop fields between a client and its proxy (RFC 2616 §13.5.1, to which PEP 3333 refers) */
    return is_name(name, n, "Proxy-Authenticate") || is_name(name, n, "Proxy-Authorization") ||
                   is_name(name, n, "Proxy-Connection")
               ? OURS
               : PLAIN;
  case 'k': return is_name(name, n, "Keep-Alive") ? OURS : PLAIN;
  case 'u': return is_name(name, n, "Upgrade") ? OURS : PLAIN;
  case 'x':
    if (LIKELY(!core_the_pool.send_fields)) return PLAIN;
    if ((core_the_pool.send_fields & CORE_SENDFILE) && is_name(name, n, sendfile))
      return note_sent(s, sendfile, CORE_SENDFILE, text, len) ? SINGLE : OURS;
    if ((core_the_pool.send_fields & CORE_ACCEL) && is_name(name, n, accel))
      return note_sent(s, accel, CORE_ACCEL, text, len) ? SINGLE : OURS;
    return PLAIN;
  default: return PLAIN;
  }
}

static int put_line(core_response *s, const char *name, size_t n, const char *value, size_t len) {
  if (reserve(s, n + len + 4) < 0) return -1;
  char *out = s->buf + s->len;
  memcpy(out, name, n);
  out += n;
  *out++ = ':';
  *out++ = ' ';
  memcpy(out, value, len);
  out += len;
  *out++ = '\r';
  *out++ = '\n';
  s->len = (size_t)(out - s->buf);
  return 0;
}

/* Cache of validated lines. Most fields are constants in the application's code, so their name and their value are the
 * same two objects in each response. */
#define LINE_SLOTS 64
#define LINE_BYTES 112
static CORE_PER_THREAD struct {
  PyObject *name, *value; /* owned: while they live, no different object can have their addresses */
  uint8_t is_type, len;
  char line[LINE_BYTES];
} lines[LINE_SLOTS];

void core_forget_lines(void) {
  for (int i = 0; i < LINE_SLOTS; i++) {
    Py_CLEAR(lines[i].name);
    Py_CLEAR(lines[i].value);
  }
}

static unsigned line_slot(PyObject *name, PyObject *value) {
  uintptr_t h = ((uintptr_t)name >> 4) * 31 + ((uintptr_t)value >> 4);
  return (unsigned)(h ^ (h >> 7)) % LINE_SLOTS;
}

static int known_line(core_response *s, PyObject *name, PyObject *value, unsigned slot) {
  if (lines[slot].name != name || lines[slot].value != value) return 0;
  if (lines[slot].is_type && s->has_type) return 0;
  if (reserve(s, LINE_BYTES) < 0) return -1;
  s->has_type |= lines[slot].is_type;
  memcpy(s->buf + s->len, lines[slot].line, LINE_BYTES);
  s->len += lines[slot].len;
  return 1;
}

static int is_plain(PyObject *o) { return PyUnicode_CheckExact(o) || PyBytes_CheckExact(o); }

/* Caches the line in the last n bytes of s->buf, unless the name or the value is an instance of a subclass of str or
 * bytes. Cookies are not cached, because each cookie is for one client. */
static void remember_line(core_response *s, PyObject *name, PyObject *value, unsigned slot, size_t n, int is_type) {
  if (n > LINE_BYTES || !is_plain(name) || !is_plain(value) || !core_this_thread) return;
  Py_XSETREF(lines[slot].name, Py_NewRef(name));
  Py_XSETREF(lines[slot].value, Py_NewRef(value));
  lines[slot].is_type = (uint8_t)is_type;
  lines[slot].len = (uint8_t)n;
  memcpy(lines[slot].line, s->buf + s->len - n, n);
}

typedef const char *text_of(PyObject *o, const char *what, Py_ssize_t *len);
enum { NOT_A_PAIR = -2 };
static text_of trailer_text;

static int put_trailer(core_response *s, PyObject *name_object, const char *name, size_t n, const char *value,
                       size_t len) {
  if (core_valid_trailer(name, n)) return put_line(s, name, n, value, len);
  return core_raise(PyExc_ValueError, "header %S must not be a trailer field", name_object);
}

static inline int add_field(core_response *s, PyObject *name_object, PyObject *value_object, text_of *text) {
  unsigned slot = line_slot(name_object, value_object);
  int known = text == trailer_text ? 0 : known_line(s, name_object, value_object, slot);
  if (LIKELY(known)) return known < 0 ? -1 : 0;
  Py_ssize_t n, len;
  const char *name = text(name_object, "header name", &n);
  const char *value = name ? text(value_object, "header value", &len) : NULL;
  if (UNLIKELY(!value)) return -1;
  int ok = n > 0;
  for (Py_ssize_t i = 0; i < n; i++) ok &= token_char[(unsigned char)name[i]];
  if (UNLIKELY(!ok)) return core_raise(PyExc_ValueError, "header name %.200R is not a token", name_object);
  if (UNLIKELY(!core_clean_value(value, len)))
    return core_raise(PyExc_ValueError, "header %S: value %.200R has a control character", name_object, value_object);
  if (text == trailer_text) return put_trailer(s, name_object, name, (size_t)n, value, (size_t)len);
  int kind = special_field(s, name, (size_t)n, value_object, value, len);
  if (kind == OURS) return 0;
  if (kind == BAD || put_line(s, name, (size_t)n, value, (size_t)len) < 0) return -1;
  if (kind == PLAIN || kind == TYPE)
    remember_line(s, name_object, value_object, slot, (size_t)(n + len) + 4, kind == TYPE);
  return 0;
}

int core_add_field(core_response *s, PyObject *name, PyObject *value) {
  return add_field(s, name, value, core_latin1_text);
}

static const char *bytes_text(PyObject *o, const char *what, Py_ssize_t *len) {
  if (UNLIKELY(!PyBytes_Check(o)))
    return PyErr_Format(PyExc_TypeError, "%s must be bytes, not %.100s: %.200R", what, Py_TYPE(o)->tp_name, o), NULL;
  *len = PyBytes_GET_SIZE(o);
  return PyBytes_AS_STRING(o);
}

/* Converts an object as bytes_text does. The address of this function tells add_field that the field is a trailer. */
static const char *trailer_text(PyObject *o, const char *what, Py_ssize_t *len) { return bytes_text(o, what, len); }

void core_forget_fields(core_response *s) {
  s->len = 0;
  s->length = -1;
  s->has_type = s->has_date = s->has_server = s->close_conn = s->sends = s->joins = 0;
}

/* Adds a pair that is not a tuple. If the items must be bytes (ASGI), the pair can be any iterable, otherwise it must
 * be a list. */
static int add_pair(core_response *s, PyObject *pair, text_of *text) {
  PyObject *two = text == bytes_text || text == trailer_text || PyList_Check(pair) ? PySequence_Tuple(pair) : NULL;
  int bad = !two || PyTuple_GET_SIZE(two) != 2 ? NOT_A_PAIR
                                               : add_field(s, PyTuple_GET_ITEM(two, 0), PyTuple_GET_ITEM(two, 1), text);
  Py_XDECREF(two);
  return bad;
}

/* Adds all fields. If headers is not an iterable, raises TypeError with the message in the parameter wrong. If an item
 * is not a pair, raises TypeError with the message in wrong_item. */
static inline int add_fields(core_response *s, PyObject *headers, text_of *text, const char *wrong,
                             const char *wrong_item) {
  if (UNLIKELY(PyDict_Check(headers)) && PyDict_Size(headers))
    return core_raise(PyExc_TypeError, "%s, not a dict", wrong);
  PyObject *fast = PySequence_Fast(headers, wrong);
  if (!fast) return -1;
  int bad = 0;
  CORE_BEGIN_HOLD_IF(PyList_CheckExact(fast) ? fast : NULL); /* a different thread can change the list */
  for (Py_ssize_t i = 0; !bad && i < PySequence_Fast_GET_SIZE(fast); i++) {
    /* A new reference, because repr() can run code that changes the list. */
    PyObject *pair = Py_NewRef(PySequence_Fast_GET_ITEM(fast, i));
    if (LIKELY(PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2))
      bad = add_field(s, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), text);
    else if ((bad = add_pair(s, pair, text)) == NOT_A_PAIR)
      PyErr_Format(PyExc_TypeError, wrong_item, i, pair);
    Py_DECREF(pair);
  }
  CORE_END_HOLD_IF();
  Py_DECREF(fast);
  return bad ? -1 : 0;
}

int core_add_fields(core_response *s, PyObject *headers) {
  return add_fields(s, headers, core_latin1_text, "headers must be a list of (name, value) tuples",
                    "headers[%zd] must be a tuple (name, value), not %.200R");
}

static const char wrong_headers[] = "send(): 'headers' must be an iterable of pairs [name, value]",
                  wrong_pair[] = "send(): 'headers'[%zd] must be a pair of bytes [name, value], not %.200R";

int core_add_byte_fields(core_response *s, PyObject *headers) {
  return add_fields(s, headers, bytes_text, wrong_headers, wrong_pair);
}

int core_add_trailers(core_response *s, PyObject *headers) {
  return add_fields(s, headers, trailer_text, wrong_headers, wrong_pair);
}

int core_settle_fields(core_response *s) {
  if (LIKELY(!s->list)) return 0;
  core_forget_fields(s);
  return core_add_fields(s, s->list);
}
