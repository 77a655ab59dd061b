/* Measures how long requests wait for a thread, and how long threads wait for the GIL, after core_count_waits was
 * called. */
#include "core.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define the_pool core_the_pool

int core_waits_enabled;

static int64_t bounds[CORE_BUCKETS_MAX];
static int buckets;
static core_durations queue_wait, gil_wait;
static int waiting; /* atomic: number of threads in core_take_gil_counted */

void core_count_waits(const int64_t *given, int n) {
  if (__atomic_load_n(&core_waits_enabled, __ATOMIC_ACQUIRE) || n >= CORE_BUCKETS_MAX) return;
  memcpy(bounds, given, (size_t)n * sizeof *given);
  buckets = n;
  __atomic_store_n(&core_waits_enabled, 1, __ATOMIC_RELEASE);
}

/* Adds n to a counter. With the GIL only one thread writes at a time, so the addition itself need not be atomic. */
static void add(int64_t *to, int64_t n) {
  if (CORE_PARALLEL)
    __atomic_add_fetch(to, n, __ATOMIC_RELAXED);
  else
    __atomic_store_n(to, __atomic_load_n(to, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static void observe(core_durations *d, int64_t ns) {
  int i = 0;
  if (ns < 0) ns = 0;
  while (i < buckets && ns > bounds[i]) i++;
  add(&d->counts[i], 1);
  add(&d->sum_ns, ns);
}

/* Reading the clock for each request would be too slow. After a quick handler, the last reading plus the usual duration
 * of that handler serves as the current time, unless rec arrived after this time. */
void core_count_queue_wait(const core_record *rec) {
  static CORE_PER_THREAD uint64_t now;
  /* Number of requests for which the last reading of the clock can still be used. */
  static CORE_PER_THREAD int known;
  if (!known || rec->req.since_ns > now) {
    now = core_now_ns();
    known = 8;
  }
  observe(&queue_wait, (int64_t)(now - rec->req.since_ns));
  uint64_t takes = core_run_ns(core_mount_of(rec));
  known = takes <= CORE_QUICK_NS ? known - 1 : 0;
  now += takes;
}

void core_take_gil_counted(PyThreadState *state) {
  uint64_t began = core_now_ns();
  __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
  PyEval_RestoreThread(state);
  __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
  observe(&gil_wait, (int64_t)(core_now_ns() - began));
}

void core_read_waits(core_waits *out) {
  CORE_CHECK(CORE_NO_GIL | CORE_SERVING | CORE_ENDED);
  core_lock();
  uint64_t now = core_now_ns(), stalled = core_stalled_since();
  *out = (core_waits){.live = the_pool.live,
                      .idle = the_pool.idle,
                      .aside = the_pool.aside[CORE_WAITS_FOR_CLIENT] + the_pool.aside[CORE_WAITS],
                      .stuck = the_pool.aside[CORE_STUCK],
                      .first_ns = core_first_waits(now),
                      .stalled_ns = stalled && now > stalled ? now - stalled : 0};
  core_unlock();
  out->waiting = __atomic_load_n(&waiting, __ATOMIC_RELAXED);
  out->queued = (int)__atomic_load_n(&the_pool.shared.queued, __ATOMIC_RELAXED);
  out->queue_wait = &queue_wait;
  out->gil_wait = &gil_wait;
}

/* --- metrics of the application ------------------------------------------
 *
 * The metrics of the application (fapws.metrics) are kept in C, because the server reads them without the GIL. Python
 * passes names and labels as JSON, which C passes on unchanged. */

#define FAMILIES_MAX 1000
#define SERIES_MAX 20000

typedef struct series {
  struct series *next;
  struct family *family;
  double value;
  /* Number of values in each bucket and, as the last element, number of values above the limits of all buckets.
   * Allocated by malloc; NULL if the metric is not a histogram. */
  int64_t *counts;
  char labels[]; /* labels of the series, as JSON */
} series;

typedef struct family {
  series *first, *last;
  int nbounds;
  double *bounds; /* upper limits of the buckets, allocated by malloc, or NULL if the metric is not a histogram */
  char head[];    /* description of the metric: a JSON object without its last brace */
} family;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static family *families[FAMILIES_MAX];
static series *all[SERIES_MAX];
static int nfamilies, nseries; /* atomic, because threads read the arrays without the mutex */

static int count_of(const int *n) { return __atomic_load_n(n, __ATOMIC_ACQUIRE); }
/* Makes readers see the element that was added to an array, and returns the index of the element. */
static int grow(int *n) { return __atomic_fetch_add(n, 1, __ATOMIC_RELEASE); }

static PyObject *family_add(PyObject *module, PyObject *args) {
  const char *head;
  PyObject *bounds;
  if (!PyArg_ParseTuple(args, "sO!:metric_family", &head, &PyTuple_Type, &bounds)) return NULL;
  int n = (int)PyTuple_GET_SIZE(bounds);
  family *f = calloc(1, sizeof *f + strlen(head) + 1);
  if (!f || (n && !(f->bounds = calloc((size_t)n, sizeof *f->bounds)))) return free(f), PyErr_NoMemory();
  strcpy(f->head, head);
  f->nbounds = n;
  for (int i = 0; i < n; i++) f->bounds[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(bounds, i));
  int number = -1;
  if (!PyErr_Occurred()) {
    pthread_mutex_lock(&mu);
    if (nfamilies < FAMILIES_MAX) families[nfamilies] = f, number = grow(&nfamilies);
    pthread_mutex_unlock(&mu);
    if (number < 0) PyErr_Format(PyExc_ValueError, "there are %d metrics already", FAMILIES_MAX);
  }
  if (number >= 0) return PyLong_FromLong(number);
  free(f->bounds);
  free(f);
  return NULL;
}

static PyObject *series_add(PyObject *module, PyObject *args) {
  const char *labels;
  int of;
  if (!PyArg_ParseTuple(args, "is:metric_series", &of, &labels)) return NULL;
  if (of < 0 || of >= count_of(&nfamilies)) return PyErr_Format(PyExc_ValueError, "no metric has the number %d", of);
  family *f = families[of];
  series *s = calloc(1, sizeof *s + strlen(labels) + 1);
  if (!s || (f->bounds && !(s->counts = calloc((size_t)f->nbounds + 1, sizeof *s->counts))))
    return free(s), PyErr_NoMemory();
  strcpy(s->labels, labels);
  s->family = f;
  int number = -1;
  pthread_mutex_lock(&mu);
  if (nseries < SERIES_MAX) {
    all[nseries] = s;
    number = grow(&nseries);
    *(f->last ? &f->last->next : &f->first) = s;
    f->last = s;
  }
  pthread_mutex_unlock(&mu);
  if (number < 0) {
    free(s->counts);
    free(s);
  }
  return PyLong_FromLong(number); /* -1 if there are too many series */
}

enum change { ADD, SET, OBSERVE };

/* A child of os.fork does not change its copy of the metrics, because the server never reads that copy. Locking mu in
 * the child would also never return if a different thread held mu during the fork. */
static PyObject *change(PyObject *args, enum change how) {
  int number;
  double value;
  if (!PyArg_ParseTuple(args, "id", &number, &value)) return NULL;
  if (number < 0 || number >= count_of(&nseries))
    return PyErr_Format(PyExc_ValueError, "no series has the number %d", number);
  if (!isfinite(value)) return PyErr_Format(PyExc_ValueError, "the value of a metric must be finite");
  if (core_forked) Py_RETURN_NONE;
  series *s = all[number];
  int i = 0;
  while (i < s->family->nbounds && value > s->family->bounds[i]) i++;
  pthread_mutex_lock(&mu);
  s->value = how == SET ? value : s->value + value;
  if (how == OBSERVE && s->counts) s->counts[i]++;
  pthread_mutex_unlock(&mu);
  Py_RETURN_NONE;
}

static PyObject *value_add(PyObject *module, PyObject *args) { return change(args, ADD); }
static PyObject *value_set(PyObject *module, PyObject *args) { return change(args, SET); }
static PyObject *value_observe(PyObject *module, PyObject *args) { return change(args, OBSERVE); }

PyMethodDef core_metric_methods[] = {
    {"metric_family", family_add, METH_VARARGS, "metric_family(head, bounds) -> number: see fapws.metrics."},
    {"metric_series", series_add, METH_VARARGS, "metric_series(family, labels) -> number, -1: there are too many."},
    {"metric_add", value_add, METH_VARARGS, "metric_add(series, value)."},
    {"metric_set", value_set, METH_VARARGS, "metric_set(series, value)."},
    {"metric_observe", value_observe, METH_VARARGS, "metric_observe(series, value)."},
    {NULL, NULL, 0, NULL}};

static void write_series(FILE *out, const series *s) {
  fprintf(out, "{\"labels\":%s", s->labels);
  if (!s->counts) {
    fprintf(out, ",\"value\":%.17g}", s->value);
    return;
  }
  fprintf(out, ",\"total\":%.17g,\"counts\":[", s->value);
  for (int i = 0; i <= s->family->nbounds; i++) fprintf(out, i ? ",%lld" : "%lld", (long long)s->counts[i]);
  fputs("]}", out);
}

char *core_application_metrics(size_t *n) {
  CORE_CHECK(CORE_NO_GIL);
  char *text = NULL;
  /* The locale C is needed, because the application could have set a locale with a decimal comma. */
  static locale_t c;
  if (!c) c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
  locale_t before = c ? uselocale(c) : (locale_t)0;
  pthread_mutex_lock(&mu);
  FILE *out = nfamilies ? open_memstream(&text, n) : NULL;
  for (int i = 0; out && i < nfamilies; i++) {
    fprintf(out, "%s%s,\"series\":[", i ? "," : "[", families[i]->head);
    for (const series *s = families[i]->first; s; s = s->next) {
      if (s != families[i]->first) fputc(',', out);
      write_series(out, s);
    }
    fputs("]}", out);
  }
  if (out) {
    fputc(']', out);
    if (fclose(out) != 0) free(text), text = NULL;
  }
  pthread_mutex_unlock(&mu);
  if (c) uselocale(before);
  return text;
}
