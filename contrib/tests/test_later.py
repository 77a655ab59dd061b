import contextlib
import io
import subprocess
import sys
import threading
import unittest
from unittest import mock

import fapws
from fapws import _later

PATIENCE = 120


def settle():
    """Returns when earlier deferred calls have run."""
    done = threading.Event()
    fapws.defer(done.set)
    if not done.wait(PATIENCE):
        raise AssertionError("deferred calls do not run")


class Gate:
    """A deferred call that delays the other calls."""

    def __enter__(self):
        self.entered, self.go = threading.Event(), threading.Event()
        fapws.defer(lambda: (self.entered.set(), self.go.wait(PATIENCE)))
        assert self.entered.wait(PATIENCE)
        return self

    def __exit__(self, *exc):
        self.go.set()
        settle()


class Defer(unittest.TestCase):
    def test_runs_in_order_on_one_other_thread(self):
        seen = []
        for i in range(100):
            fapws.defer(lambda i, k: seen.append((i, k, threading.get_ident())), i, k=-i)
        settle()
        self.assertEqual([s[:2] for s in seen], [(i, -i) for i in range(100)])
        self.assertEqual(len({s[2] for s in seen}), 1)
        self.assertNotEqual(seen[0][2], threading.get_ident())

    def test_unique(self):
        seen = []
        with Gate():
            for args, added in [
                ((1,), True), ((1,), False), (([],), True), (([],), False), ((2,), True), ((1,), False),
            ]:
                with self.subTest(args=args):
                    self.assertIs(fapws.defer(seen.append, *args, unique=True), added)
            self.assertIs(fapws.defer(seen.append, 1), True)
            self.assertEqual(fapws.defer_queue_size(), 4)
        self.assertEqual(seen, [1, [], 2, 1])
        self.assertIs(fapws.defer(seen.append, 1, unique=True), True)  # no call is waiting now
        settle()

    def test_errors_are_reported(self):
        class Exits:
            def __call__(self):
                sys.exit(3)

        def breaks():
            raise ValueError("why")

        with contextlib.redirect_stderr(io.StringIO()) as said:
            fapws.defer(breaks)
            fapws.defer(Exits())
            settle()
        self.assertRegex(said.getvalue(), r"^fapws: error in deferred call .*breaks\nTraceback(.*\n)+ValueError: why\n")
        self.assertIn("SystemExit: 3\n", said.getvalue())

    def test_wrong(self):
        with self.assertRaisesRegex(TypeError, "^defer: 7 cannot be called$"):
            fapws.defer(7)
        with Gate(), mock.patch.object(_later, "MOST_WAITING", 2):
            fapws.defer(int)
            fapws.defer(int)
            with self.assertRaisesRegex(RuntimeError, "^defer: queue full: 2 calls are waiting$"):
                fapws.defer(int)
            self.assertEqual(fapws.defer_queue_size(), 2)

    def test_comparison_may_defer(self):
        class Odd:
            def __eq__(self, other):
                fapws.defer(int)
                return True

        with Gate():
            self.assertTrue(fapws.defer(id, Odd(), unique=True))
            self.assertFalse(fapws.defer(id, Odd(), unique=True))


class Timers(unittest.TestCase):
    def test_repeats_until_stopped(self):
        rang, calls = threading.Semaphore(0), []

        def ring(word, n):
            calls.append((word, n))
            rang.release()

        t = fapws.timer(0.01, ring, "a", n=1)
        for _ in range(3):
            self.assertTrue(rang.acquire(timeout=PATIENCE))
        t.stop()
        settle()
        n = len(calls)
        self.assertEqual(set(calls), {("a", 1)})
        self.assertFalse(t.active)
        done = threading.Event()
        other = fapws.timer(0.05, done.set)
        self.assertTrue(done.wait(PATIENCE))
        other.stop()
        self.assertEqual(len(calls), n)
        t.restart()
        self.assertTrue(t.active)
        while rang.acquire(blocking=False):
            pass
        self.assertTrue(rang.acquire(timeout=PATIENCE))
        t.stop()

    def test_may_stop_itself(self):
        calls, done = [], threading.Event()

        def once():
            calls.append(1)
            t.stop()
            done.set()

        t = fapws.timer(0.01, once)
        self.assertTrue(done.wait(PATIENCE))
        settle()
        self.assertEqual(calls, [1])

    def test_decorator(self):
        rang = threading.Event()

        @fapws.timer(0.01)
        def ring(word="tick"):
            """Rings."""
            rang.set()
            return word

        self.assertTrue(rang.wait(PATIENCE))
        ring.stop()
        self.assertEqual((ring("x"), ring(), ring.__name__, ring.__doc__), ("x", "tick", "ring", "Rings."))

    def test_goes_on_after_an_error(self):
        rang = threading.Semaphore(0)

        def breaks():
            rang.release()
            raise ValueError("why")

        with contextlib.redirect_stderr(io.StringIO()) as said:
            t = fapws.timer(0.01, breaks)
            for _ in range(2):
                self.assertTrue(rang.acquire(timeout=PATIENCE))
            t.stop()
            settle()
        self.assertIn("fapws: error in timer ", said.getvalue())

    def test_never_due(self):
        """A timer with an interval so long that it never runs does not block the thread for other calls."""
        for seconds in (1e30, float("inf")):
            t = fapws.timer(seconds, int)
            settle()
            settle()
            t.stop()

    def test_often_restarted(self):
        """A timer that is restarted again and again uses no more memory, and does not run."""
        t = fapws.timer(3600, int)
        before = len(_later._runner.due)
        for _ in range(1000):
            t.restart()
        self.assertEqual(len(_later._runner.due), before)
        t.stop()

    def test_neither_starves_the_other(self):
        rang = threading.Semaphore(0)
        stop = threading.Event()

        def again():
            if not stop.is_set():
                fapws.defer(again)

        fapws.defer(again)
        t = fapws.timer(1e-9, rang.release)
        for _ in range(3):
            self.assertTrue(rang.acquire(timeout=PATIENCE))
        settle()
        t.stop()
        stop.set()
        settle()

    def test_wrong(self):
        for seconds in (0, -1, float("nan")):
            with self.subTest(seconds=seconds), self.assertRaisesRegex(ValueError, "seconds must be a number above 0"):
                fapws.timer(seconds, int)
        with self.assertRaisesRegex(TypeError, "^timer: seconds must be a number, not '5'$"):
            fapws.timer("5", int)
        with self.assertRaisesRegex(TypeError, "^timer: 'x' cannot be called$"):
            fapws.timer(1, "x")


class Process(unittest.TestCase):
    def run_python(self, code):
        return subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE
        )

    def test_what_is_deferred_still_runs_at_the_end(self):
        run = self.run_python(
            "import fapws, time\n"
            "t = fapws.timer(0.001, int)\n"
            "fapws.defer(time.sleep, 0.05)\n"
            "fapws.defer(lambda: fapws.defer(print, 'last'))\n"
            "fapws.defer(print, 'first')\n"
        )
        self.assertEqual((run.stdout, run.stderr, run.returncode), ("first\nlast\n", "", 0))

    def test_child_has_none(self):
        code = (
            "import fapws, os, threading, time\n"
            "go = threading.Event()\n"
            "fapws.defer(go.wait)\n"
            "fapws.defer(print, 'parent')\n"
            "t = fapws.timer(0.001, int)\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    ok = fapws.defer_queue_size() == 0 and not t.active and threading.active_count() == 1\n"
            "    done = threading.Event()\n"
            "    fapws.defer(done.set)\n"
            "    os._exit(0 if ok and done.wait(10) else 1)\n"
            "print(os.waitpid(pid, 0)[1], flush=True)\n"
            "go.set()\n"
        )
        run = self.run_python(code)
        self.assertEqual((run.stdout, run.returncode), ("0\nparent\n", 0))

    def test_costs_nothing_unused(self):
        run = self.run_python("import sys, fapws; print('fapws._later' in sys.modules)")
        self.assertEqual(run.stdout, "False\n")

    def test_names(self):
        self.assertTrue(issubclass(fapws.Timeout, Exception))
        self.assertEqual(f"{fapws.Timeout.__module__}.{fapws.Timeout.__name__}", "fapws.Timeout")
        with self.assertRaisesRegex(AttributeError, "module 'fapws' has no attribute 'nothing'"):
            fapws.nothing
