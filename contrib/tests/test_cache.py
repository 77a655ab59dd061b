import json
import unittest

from fapws.cache import cached, purge


def app(environ, start_response):
    return [b"page"]


def rule(*args, **keys):
    return json.loads(cached(app, *args, **keys)._fapws_cache)


class Cached(unittest.TestCase):
    def test_defaults(self):
        self.assertEqual(
            rule(),
            {
                "ttl": 0, "stale": 0, "heuristic": 0, "vary": [], "ignore_query": False, "ignore_cookies": False,
                "compress": True,
            },
        )

    def test_given(self):
        for key, got, want in [
            ("ttl", rule(60), 60 * 10**9),
            ("ttl", rule(ttl=0.5), 500_000_000),
            ("stale", rule(stale=30), 30 * 10**9),
            ("heuristic", rule(heuristic=3600), 3600 * 10**9),
            ("vary", rule(vary="Accept-Language"), ["Accept-Language"]),
            ("vary", rule(vary=("A", "B")), ["A", "B"]),
            ("ignore_query", rule(query=False), True),
            ("ignore_cookies", rule(cookies="ignore"), True),
            ("compress", rule(compress=False), False),
            ("status", rule(status=[200, 404]), [200, 404]),
        ]:
            with self.subTest(key=key, want=want):
                self.assertEqual(got[key], want)

    def test_refused(self):
        for error, keys in [
            (TypeError, {"ttl": "60"}),
            (TypeError, {"ttl": True}),
            (ValueError, {"ttl": -1}),
            (ValueError, {"stale": 1e9}),
            (ValueError, {"stale": float("nan")}),
            (TypeError, {"vary": [1]}),
            (ValueError, {"vary": "*"}),
            (ValueError, {"vary": ["a b"]}),
            (ValueError, {"vary": [""]}),
            (ValueError, {"cookies": "eat"}),
            (TypeError, {"status": ["200"]}),
            (ValueError, {"status": [206]}),
        ]:
            with self.subTest(keys=keys), self.assertRaises(error) as wrong:
                cached(app, **keys)
            self.assertTrue(str(wrong.exception).startswith("cached: "))

    def test_no_application(self):
        for args, keys in [
            ((), {}), ((), {"ttl": 60}), ((None,), {}), ((60,), {}), ((0.5,), {"stale": 1}), ((True,), {}),
        ]:
            with self.subTest(args=args, keys=keys), self.assertRaises(TypeError) as wrong:
                cached(*args, **keys)
            self.assertRegex(
                str(wrong.exception),
                r"^cached: the first argument must be the application, not .*: write .* instead of @cached\(ttl=60\)",
            )

    def test_call(self):
        self.assertEqual(cached(app)({}, None), [b"page"])
        self.assertIn("app", repr(cached(app)))


class Purge(unittest.TestCase):
    def test_refused(self):
        for args, keys in [((), {}), (("/a",), {"tag": "b"}), (("page",), {}), (("",), {})]:
            with self.subTest(args=args, keys=keys), self.assertRaises(ValueError):
                purge(*args, **keys)
