/* Messages of the error log as objects of JSON (RFC 8259), each on one line (--error-log-format json). The functions
 * are also called after a crash, and in a forked child in which Go does not run, so they need neither the GIL nor a
 * lock, and allocate no memory. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Same keys and limits in bytes as in runtime/logfile/message.go. */
#define LONGEST_TEXT (64 << 10)
#define LONGEST_NAME (8 << 10)
#define CUT "..."
static const struct {
  const char *key;
  uint32_t most;
} members[CORE_TEXTS] = {
    [CORE_MESSAGE] = {"message", LONGEST_TEXT},    [CORE_CLIENT] = {"client", LONGEST_NAME},
    [CORE_USER] = {"user", LONGEST_NAME},          [CORE_HOST] = {"host", LONGEST_NAME},
    [CORE_REQUEST] = {"request_id", LONGEST_NAME}, [CORE_TRACE] = {"trace_id", LONGEST_NAME},
    [CORE_METHOD] = {"method", LONGEST_NAME},      [CORE_PATH] = {"path", LONGEST_NAME},
    [CORE_HANDLER] = {"handler", LONGEST_NAME},    [CORE_TYPE] = {"type", LONGEST_NAME},
    [CORE_REASON] = {"message", LONGEST_TEXT},     [CORE_TRACEBACK] = {"traceback", LONGEST_TEXT},
};

static char *put(char *to, const char *s, size_t n) {
  memcpy(to, s, n);
  return to + n;
}

/* Returns the next character of UTF-8, or U+FFFD for a byte that is not part of a character. */
static uint32_t next_char(const char **s, const char *end) {
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  unsigned char first = (unsigned char)*(*s)++;
  if (first < 0x80) return first;
  int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  if (first < 0xc2 || first > 0xf4 || end - *s < more) return 0xfffd;
  uint32_t c = first & (0x3fu >> more);
  for (int i = 0; i < more; i++) {
    if (((*s)[i] & 0xc0) != 0x80) return 0xfffd;
    c = c << 6 | ((*s)[i] & 0x3f);
  }
  if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0xfffd;
  *s += more;
  return c;
}

/* Whether c may affect a terminal or a viewer of logs (logfile.IsControl). */
static int is_control(uint32_t c) {
  return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static char *put_text(char *to, const char *end, const char *s, const char *stop) {
  static const char hex[] = "0123456789abcdef";
  while (s < stop && to < end) {
    const char *from = s;
    uint32_t c = next_char(&s, stop);
    if (c == 0xfffd) {
      to = put(to, "\xef\xbf\xbd", 3);
    } else if (is_control(c)) {
      char escape[] = {'\\', 'u', hex[c >> 12], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15]};
      to = put(to, escape, sizeof escape);
    } else {
      if (c == '"' || c == '\\') *to++ = '\\';
      to = put(to, from, (size_t)(s - from));
    }
  }
  return to;
}

/* Writes a member with a comma before it. A traceback that is too long keeps its end. */
static char *put_member(char *to, const char *end, int i, core_bytes t) {
  *to++ = ',';
  *to++ = '"';
  to = put(to, members[i].key, strlen(members[i].key));
  to = put(to, "\":", 2);
  if (!t.len) return put(to, "null", 4);
  *to++ = '"';
  const char *s = t.text, *stop = s + t.len;
  int too_long = t.len > members[i].most, tail = i == CORE_TRACEBACK;
  if (too_long) {
    uint32_t most = members[i].most - (uint32_t)strlen(CUT);
    const char **edge = tail ? &s : &stop; /* where the text is cut; must be between two characters of UTF-8 */
    *edge = tail ? stop - most : s + most;
    for (int k = 0; k < 3 && (**edge & 0xc0) == 0x80; k++) *edge += tail ? 1 : -1;
  }
  if (too_long && tail) to = put(to, CUT, strlen(CUT));
  to = put_text(to, end, s, stop);
  if (too_long && !tail) to = put(to, CUT, strlen(CUT));
  *to++ = '"';
  return to;
}

size_t core_object_size(const core_bytes *texts) {
  size_t n = CORE_OBJECT_LEAST;
  for (int i = 0; i < CORE_TEXTS; i++)
    n += 6 * (size_t)(texts[i].len < members[i].most ? texts[i].len : members[i].most);
  return n;
}

size_t core_object(char *buf, size_t size, const char *level, const core_bytes *texts) {
  struct timespec now;
  struct tm tm;
  clock_gettime(CLOCK_REALTIME, &now);
  int offset = core_local_time(now.tv_sec, &tm), minutes = abs(offset) / 60;
  /* All keys, the time, the process id and the last character of a text fit into half of CORE_OBJECT_LEAST. */
  char *to = buf, *end = buf + size - CORE_OBJECT_LEAST / 2;
  to += sprintf(to, "{\"time\":\"%d-%02d-%02dT%02d:%02d:%02d.%06ld%c%02d:%02d\",\"level\":\"%.16s\"", tm.tm_year + 1900,
                tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long)now.tv_nsec / 1000,
                offset < 0 ? '-' : '+', minutes / 60, minutes % 60, level);
  for (int i = 0; i < CORE_TYPE; i++) to = put_member(to, end, i, texts[i]);
  to = put(to, ",\"exception\":", strlen(",\"exception\":"));
  if (texts[CORE_TYPE].len || texts[CORE_REASON].len || texts[CORE_TRACEBACK].len) {
    char *begin = to;
    for (int i = CORE_TYPE; i < CORE_TEXTS; i++) to = put_member(to, end, i, texts[i]);
    *begin = '{'; /* replaces the comma before the first member */
    *to++ = '}';
  } else {
    to = put(to, "null", 4);
  }
  to += sprintf(to, ",\"pid\":%d}\n", (int)getpid());
  return (size_t)(to - buf);
}
