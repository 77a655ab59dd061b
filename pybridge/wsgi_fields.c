/* Finds the keys of environ for the names of fields.
 *
 * A hash table has interned keys for the fields that browsers and proxies send; keys for all other fields are made on
 * demand. */
#include "wsgi.h"

#include <string.h>
#include <strings.h>

static const char *const known_names[] = {"Host",
                                          "User-Agent",
                                          "Accept",
                                          "Accept-Language",
                                          "Accept-Encoding",
                                          "Accept-Charset",
                                          "Connection",
                                          "Cookie",
                                          "Referer",
                                          "Origin",
                                          "Authorization",
                                          "Cache-Control",
                                          "Pragma",
                                          "Upgrade-Insecure-Requests",
                                          "If-None-Match",
                                          "If-Modified-Since",
                                          "If-Match",
                                          "If-Unmodified-Since",
                                          "If-Range",
                                          "Range",
                                          "DNT",
                                          "TE",
                                          "Sec-Fetch-Dest",
                                          "Sec-Fetch-Mode",
                                          "Sec-Fetch-Site",
                                          "Sec-Fetch-User",
                                          "Sec-Ch-Ua",
                                          "Sec-Ch-Ua-Mobile",
                                          "Sec-Ch-Ua-Platform",
                                          "Sec-GPC",
                                          "Priority",
                                          "X-Requested-With",
                                          "X-Forwarded-For",
                                          "X-Forwarded-Proto",
                                          "X-Forwarded-Host",
                                          "X-Forwarded-Port",
                                          "X-Real-IP",
                                          "X-Request-ID",
                                          "X-CSRFToken",
                                          "X-CSRF-Token",
                                          "Forwarded",
                                          "Via",
                                          "Expect",
                                          "Upgrade",
                                          "From",
                                          "Date",
                                          "Last-Event-ID",
                                          "Purpose",
                                          "Keep-Alive",
                                          "Content-Type",
                                          "Content-Length",
                                          "Transfer-Encoding",
                                          "Proxy"};
#define KNOWN (sizeof known_names / sizeof *known_names)
#define SLOTS 256
static wsgi_known_field slots[SLOTS];

static unsigned hash_name(const char *s, size_t n) {
  unsigned h = (unsigned)n;
  for (size_t i = 0; i < n; i++) h = h * 31 + ((unsigned char)s[i] | 0x20);
  return (h ^ (h >> 8)) & (SLOTS - 1);
}

PyObject *wsgi_field_key(const char *name, size_t n) {
  PyObject *k = PyUnicode_New((Py_ssize_t)n + 5, 127);
  if (!k) return NULL;
  Py_UCS1 *out = PyUnicode_1BYTE_DATA(k);
  memcpy(out, "HTTP_", 5);
  for (size_t i = 0; i < n; i++) {
    char c = name[i];
    out[5 + i] = (Py_UCS1)(c == '-' ? '_' : (c >= 'a' && c <= 'z') ? c - 32 : c);
  }
  return k;
}

int wsgi_field_names_init(void) {
  for (size_t i = 0; i < KNOWN; i++) {
    const char *name = known_names[i];
    size_t n = strlen(name);
    unsigned at = hash_name(name, n);
    while (slots[at].name) at = (at + 1) & (SLOTS - 1);
    wsgi_known_field *f = &slots[at];
    f->name = name;
    f->len = (uint8_t)n;
    f->joined_by_semicolon = strcmp(name, "Cookie") == 0;
    f->role = strcmp(name, "Content-Type") == 0 ? WSGI_FIELD_TYPE : WSGI_FIELD_HEADER;
    if (!strcmp(name, "Content-Length") || !strcmp(name, "Transfer-Encoding") || !strcmp(name, "Proxy"))
      f->role = WSGI_FIELD_DROP;
    if (!(f->key = wsgi_field_key(name, n))) return -1;
    PyUnicode_InternInPlace(&f->key);
  }
  return 0;
}

const wsgi_known_field *wsgi_find_field(const char *name, size_t n) {
  for (unsigned at = hash_name(name, n); slots[at].name; at = (at + 1) & (SLOTS - 1)) {
    const wsgi_known_field *f = &slots[at];
    if (f->len == n && strncasecmp(f->name, name, n) == 0) return f;
  }
  return NULL;
}
