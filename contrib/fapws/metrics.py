"""Metrics of an application, beside those of the server: counters, gauges and histograms.

::

    from fapws import metrics

    ORDERS = metrics.counter("shop_orders", "Orders placed.", labels=("kind",))
    WAITING = metrics.gauge("shop_waiting", "Orders that wait to be packed.")
    PACKING = metrics.histogram("shop_packing_seconds", "Time to pack an order.")

    def order(environ, start_response):
        ORDERS.add(1, kind="web")
        with PACKING.time():
            ...

``fapws ctl metrics`` and ``--status`` show them, added up over all workers; counters and histograms keep the
counts of workers that have ended, unless a worker crashed. Declare them when the module is loaded; the same declaration
again returns the same metric. A change of a metric takes about 0.2 µs, without a lock. Any thread and any task may
change metrics.

Outside of fapws, in a test or a command of Django, with ``--fork`` and in children of ``os.fork``, changes have no
effect. Metrics of the library ``prometheus_client`` are separate: nothing is counted twice.
"""
from __future__ import annotations

import json
import re
from _thread import RLock
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, ContextManager, Dict, Iterable, Optional, Sequence, Tuple, Type

try:
    import _fapws as _native  # type: ignore[import-not-found]
except ImportError:
    _native = None

__all__ = ["Counter", "Gauge", "Histogram", "counter", "gauge", "histogram"]

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = ("_total", "_bucket", "_count", "_sum", "_created", "_info")
_MOST = 200  # maximum number of series, that is combinations of label values, in a metric
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_declared: Dict[str, _Metric] = {}
_adding = RLock()  # Two threads must not create the same metric or series.


class _Metric:
    _kind = ""

    def __init__(self, name: str, help: str, labels: Sequence[str], over: str, bounds: Tuple[float, ...]) -> None:
        self.name = name
        self.help = help
        self.labels = tuple(labels)
        self._series: Dict[Tuple[str, ...], int] = {}
        self._form = (self._kind, self.labels, over, bounds)
        head: Dict[str, Any] = {"name": name, "kind": self._kind, "help": help}
        for unit in ("seconds", "bytes"):
            if name.endswith("_" + unit):
                head["unit"] = unit
        if over:
            head["over"] = over
        if bounds:
            head["bounds"] = bounds
        self._number: int = _native.metric_family(json.dumps(head)[:-1], bounds) if _native else -1
        if not self.labels and _native:
            # A metric without labels has a single series, which must exist before its first change.
            self._find({})

    def _find(self, given: Dict[str, Any]) -> int:
        """Returns the number that identifies the series with these label values."""
        if len(given) != len(self.labels):
            raise self._wrong(given)
        try:
            key = tuple([str(given[label]) for label in self.labels])
        except KeyError:
            raise self._wrong(given) from None
        number = self._series.get(key)
        if number is None:
            with _adding:
                number = self._series.get(key)
                if number is None:
                    number = self._add(key)
        return number

    def _add(self, key: Tuple[str, ...]) -> int:
        full = ("other",) * len(self.labels)
        if len(self._series) >= _MOST - 1 and key != full:
            if full in self._series:
                return self._series[full]
            from fapws._failure import log

            log("warning", f"metrics: {self.name} has {_MOST} combinations of labels; more are counted as other")
            key = full
        number = -1
        if _native:
            text = ",".join([f'{label}="{_escaped(value)}"' for label, value in zip(self.labels, key)])
            number = _native.metric_series(self._number, json.dumps(text))
            if number < 0:
                raise ValueError(f"{self.name}: all metrics together have too many combinations of labels")
        self._series[key] = number
        return number

    def _wrong(self, given: Dict[str, Any]) -> TypeError:
        wanted = ", ".join(self.labels) or "none"
        return TypeError(f"{self.name}: the labels are {wanted}, not {', '.join(given) or 'none'}")


class Counter(_Metric):
    """A number that only grows; made by ``counter``."""

    _kind = "counter"

    def add(self, n: float = 1, **labels: object) -> None:
        """Adds n. ValueError: n is negative or not finite. TypeError: wrong labels."""
        if n < 0:
            raise ValueError(f"{self.name}: a counter cannot go down")
        number = self._find(labels)
        if _native:
            _native.metric_add(number, n)


class Gauge(_Metric):
    """A number that goes up and down; made by ``gauge``."""

    _kind = "gauge"

    def set(self, value: float, **labels: object) -> None:
        """Sets the value in this process. ValueError: value is not finite. TypeError: wrong labels."""
        number = self._find(labels)
        if _native:
            _native.metric_set(number, value)

    def add(self, n: float = 1, **labels: object) -> None:
        """Adds n, which may be negative. ValueError: n is not finite. TypeError: wrong labels."""
        number = self._find(labels)
        if _native:
            _native.metric_add(number, n)


class Histogram(_Metric):
    """Values counted in buckets by their size; made by ``histogram``."""

    _kind = "histogram"

    def observe(self, value: float, **labels: object) -> None:
        """Counts a value. ValueError: value is not finite. TypeError: wrong labels."""
        number = self._find(labels)
        if _native:
            _native.metric_observe(number, value)

    def time(self, **labels: object) -> ContextManager[None]:
        """Returns a context manager that counts how many seconds its block takes. TypeError: wrong labels."""
        self._find(labels)
        return _Timer(self, labels)


class _Timer:
    __slots__ = ("_metric", "_labels", "_began")

    def __init__(self, metric: Histogram, labels: Dict[str, Any]) -> None:
        self._metric = metric
        self._labels = labels

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._metric.observe(perf_counter() - self._began, **self._labels)


def counter(name: str, help: str, labels: Sequence[str] = ()) -> Counter:
    """Declares a counter.

    name   -- letters, digits and _, without ``_total`` at its end, which the server adds; a name that ends
              with ``_seconds`` or ``_bytes`` has this unit
    help   -- one line for people
    labels -- names of labels; each combination of their values is counted by itself, up to 200

    TypeError, ValueError: wrong argument, or a different metric has this name.
    """
    return _declare(Counter, name, help, labels)  # type: ignore[return-value]


def gauge(name: str, help: str, labels: Sequence[str] = (), *, workers: str = "sum") -> Gauge:
    """Declares a gauge; arguments as for ``counter``, and:

    workers -- how the values of several processes become one: "sum", "max" or "min"
    """
    if workers not in ("sum", "max", "min"):
        raise ValueError(f'gauge {name}: workers must be "sum", "max" or "min", not {workers!r}')
    return _declare(Gauge, name, help, labels, "" if workers == "sum" else workers)  # type: ignore[return-value]


def histogram(name: str, help: str, labels: Sequence[str] = (), *, buckets: Iterable[float] = _BUCKETS) -> Histogram:
    """Declares a histogram; arguments as for ``counter``, and:

    buckets -- upper bounds, ascending, 1 to 50; one more bucket counts larger values
    """
    bounds = tuple(float(bound) for bound in buckets)
    if (
        not 1 <= len(bounds) <= 50
        or any(not abs(bound) < float("inf") for bound in bounds)
        or list(bounds) != sorted(set(bounds))
    ):
        raise ValueError(f"histogram {name}: buckets must be 1 to 50 ascending numbers")
    return _declare(Histogram, name, help, labels, "", bounds)  # type: ignore[return-value]


def _declare(
    kind: Type[_Metric], name: str, help: str, labels: Sequence[str], over: str = "", bounds: Tuple[float, ...] = ()
) -> _Metric:
    what = f"{kind._kind} {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{what}: a name has letters, digits and _, and does not begin with a digit")
    if name.startswith("fapws_") or name.endswith(_RESERVED):
        raise ValueError(f"{what}: a name must not begin with fapws_, nor end with {', '.join(_RESERVED)}")
    if not isinstance(help, str) or not help or "\n" in help:
        raise ValueError(f"{what}: help must be a line of text")
    if isinstance(labels, str):
        raise TypeError(f"{what}: labels must be a tuple of names")
    for label in labels:
        if not isinstance(label, str) or not _NAME.fullmatch(label) or label.startswith("__") or label == "le":
            raise ValueError(f"{what}: {label!r} cannot be the name of a label")
    if len(set(labels)) != len(labels):
        raise ValueError(f"{what}: a label is there twice")
    with _adding:
        known = _declared.get(name)
        if known is None:
            known = _declared[name] = kind(name, help, labels, over, bounds)
    if known._form != (kind._kind, tuple(labels), over, bounds):
        raise ValueError(f"{what}: declared before in another form")
    return known


def _escaped(value: str) -> str:
    text = value.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
