/* Early hints (RFC 8297): interim responses of status 103 with fields Link. */
#include "wsgi.h"

#include <string.h>
#include <strings.h>

#define HINTS_MAX 16   /* maximum number of early hints of a request */
#define BYTES_MAX 8192 /* maximum size in bytes of the values of these hints together */

static const char link_name[] = "Link: ";

int wsgi_add_hint(core_record *rec, core_part **part, const char *value, Py_ssize_t n) {
  if (!wsgi_clean_value(value, n)) return core_raise(PyExc_ValueError, "a Link of early hints has a control character");
  if (!n || rec->run.hints == HINTS_MAX || n > BYTES_MAX - rec->run.hint_bytes || rec->run.started || core_forked ||
      core_is_cancelled(rec) || !rec->req.hints)
    return 0;
  size_t all = strlen(link_name) + (size_t)n + 2;
  if ((!*part && !(*part = core_part_new(rec, all))) || core_part_reserve(*part, all) < 0) return -1;
  core_part *p = *part;
  memcpy(p->buf + p->used, link_name, strlen(link_name));
  memcpy(p->buf + p->used + strlen(link_name), value, (size_t)n);
  memcpy(p->buf + p->used + all - 2, "\r\n", 2);
  p->fields_len = p->used += (uint32_t)all;
  rec->run.hints++;
  rec->run.hint_bytes += (uint16_t)n;
  return 0;
}

void wsgi_send_hints(core_thread *t, core_record *rec, core_part *p) {
  if (!p) return;
  p->interim = 1;
  core_publish(t, p);
  t->mode->written(t, rec, &(uint8_t){0});
}

/* Adds a pair (name, value) of wsgi.early_hints if the name is Link. */
static int add_pair(core_record *rec, core_part **p, PyObject *item) {
  PyObject *pair = PySequence_Fast(item, "early_hints() takes pairs (name, value)");
  if (!pair) return -1;
  Py_ssize_t n = 0, len = 0;
  const char *name = NULL, *value = NULL;
  if (PySequence_Fast_GET_SIZE(pair) != 2)
    PyErr_Format(PyExc_ValueError, "early_hints() takes pairs (name, value), not %.200R", item);
  else if ((name = wsgi_latin1_text(PySequence_Fast_GET_ITEM(pair, 0), "the name of a field", &n)))
    value = wsgi_latin1_text(PySequence_Fast_GET_ITEM(pair, 1), "the value of a field", &len);
  int is_link = value && n == 4 && strncasecmp(name, "Link", 4) == 0;
  int bad = !value || (is_link && wsgi_add_hint(rec, p, value, len) < 0);
  Py_DECREF(pair);
  return -bad;
}

static PyObject *early_hints(PyObject *self, PyObject *pairs) {
  core_thread *t = core_this_thread;
  core_record *rec = t ? t->current : NULL;
  if (!rec) return PyErr_Format(PyExc_RuntimeError, "early_hints() must be called on the thread that runs the handler");
  PyObject *list = PySequence_Fast(pairs, "early_hints() takes a list of pairs (name, value)");
  if (!list) return NULL;
  core_part *p = NULL;
  int bad = 0;
  for (Py_ssize_t i = 0; !bad && i < PySequence_Fast_GET_SIZE(list); i++)
    bad = add_pair(rec, &p, PySequence_Fast_GET_ITEM(list, i)) < 0;
  Py_DECREF(list);
  if (bad) {
    if (p) core_part_delete(p);
    return NULL;
  }
  wsgi_send_hints(t, rec, p);
  Py_RETURN_NONE;
}

PyMethodDef wsgi_early_hints_method = {
    "early_hints", early_hints, METH_O,
    "early_hints([(\"Link\", value)]): sends 103 (Early Hints) before the response, if the client understands it."};
