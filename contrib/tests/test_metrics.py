import io
import sys
import unittest
from unittest import mock

from fapws import metrics


class Native:
    """Replaces the functions of the server, and records all changes in order."""

    def __init__(self):
        self.calls = []
        self.series = 0

    def metric_family(self, head, bounds):
        self.calls.append(("family", head, bounds))
        return 0

    def metric_series(self, family, labels):
        self.calls.append(("series", family, labels))
        self.series += 1
        return self.series - 1

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, *args))


class Metrics(unittest.TestCase):
    def setUp(self):
        self.native = Native()
        for name, value in [("_native", self.native), ("_declared", {})]:
            patch = mock.patch.object(metrics, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def test_counter(self):
        c = metrics.counter("orders", "Orders.", labels=("kind",))
        c.add(kind="web")
        c.add(2, kind='a"\\\n')
        c.add(kind="web")
        self.assertEqual(self.native.calls, [
            ("family", '{"name": "orders", "kind": "counter", "help": "Orders."', ()),
            ("series", 0, '"kind=\\"web\\""'),
            ("metric_add", 0, 1),
            ("series", 0, '"kind=\\"a\\\\\\"\\\\\\\\\\\\n\\""'),
            ("metric_add", 1, 2),
            ("metric_add", 0, 1),
        ])
        with self.assertRaisesRegex(ValueError, "orders: a counter cannot go down"):
            c.add(-1, kind="web")
        for wrong in ({}, {"sort": "web"}, {"kind": "web", "more": 1}):
            with self.assertRaisesRegex(TypeError, "orders: the labels are kind, not"):
                c.add(1, **wrong)

    def test_gauge(self):
        g = metrics.gauge("waiting", "W.", workers="max")
        self.assertIn('"over": "max"', self.native.calls[0][1])
        self.assertEqual(self.native.calls[1][0], "series", "a gauge without labels is not seen before it is set")
        g.set(5)
        g.add(-2)
        self.assertEqual(self.native.calls[2:], [("metric_set", 0, 5), ("metric_add", 0, -2)])

    def test_histogram(self):
        h = metrics.histogram("took_seconds", "T.", buckets=(1, 2.5))
        self.assertEqual(self.native.calls[0][2], (1.0, 2.5))
        self.assertIn('"unit": "seconds"', self.native.calls[0][1])
        h.observe(2)
        with self.assertRaises(KeyError), h.time():
            raise KeyError
        self.assertEqual(self.native.calls[2], ("metric_observe", 0, 2))
        self.assertEqual(self.native.calls[3][:2], ("metric_observe", 0))

    def test_declared_again(self):
        first = metrics.counter("a", "A.")
        self.assertIs(metrics.counter("a", "A."), first)
        with self.assertRaisesRegex(ValueError, "declared before in another form"):
            metrics.gauge("a", "A.")

    def test_wrong(self):
        for name in ("", "1a", "a b", "a-b", "fapws_a", "a_total", "a_bucket", "a\n"):
            with self.assertRaises(ValueError, msg=name):
                metrics.counter(name, "A.")
        for labels in (("le",), ("__a",), ("a", "a"), ("a b",)):
            with self.assertRaises(ValueError, msg=labels):
                metrics.counter("a", "A.", labels=labels)
        with self.assertRaises(TypeError):
            metrics.counter("a", "A.", labels="ab")
        for buckets in ((), (2, 1), (1, 1), (1, float("inf")), range(51)):
            with self.assertRaises(ValueError, msg=buckets):
                metrics.histogram("a", "A.", buckets=buckets)
        with self.assertRaises(ValueError):
            metrics.gauge("a", "A.", workers="mean")

    def test_bounded(self):
        c = metrics.counter("a", "A.", labels=("user",))
        with mock.patch.object(sys, "stderr", io.StringIO()) as said:
            for i in range(1000):
                c.add(user=i)
        self.assertEqual(self.native.series, 200)
        self.assertEqual(
            said.getvalue(), "fapws: metrics: a has 200 combinations of labels; more are counted as other\n"
        )
        self.assertEqual(self.native.calls[-1], ("metric_add", 199, 1))

    def test_elsewhere(self):
        with mock.patch.object(metrics, "_native", None):
            c = metrics.counter("b", "B.", labels=("x",))
            c.add(x=1)
            metrics.gauge("c", "C.").set(1)
            with metrics.histogram("d", "D.").time():
                pass
        self.assertEqual(self.native.calls, [])


if __name__ == "__main__":
    unittest.main()
