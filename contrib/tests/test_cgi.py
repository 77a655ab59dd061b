import json
import unittest
from pathlib import Path

from fapws.contrib.cgi import CGIApplication


def options(*args, **keys):
    return json.loads(CGIApplication(*args, **keys)._fapws_cgi)


class Test(unittest.TestCase):
    def test_options(self):
        self.assertEqual(
            options(
                Path("bin"), 5, interpreters={".pl": "perl", ".py": ("python3", "-I")}, env={"A": "b"}, index="index.pl"
            ),
            {
                "path": "bin", "timeout": 5.0, "interpreters": {".pl": ["perl"], ".py": ["python3", "-I"]},
                "env": {"A": "b"}, "index": ["index.pl"],
            },
        )
        self.assertEqual(options("bin"), {"path": "bin", "timeout": 30.0, "interpreters": {}, "env": {}, "index": []})
        self.assertEqual(repr(CGIApplication("bin")), "CGIApplication('bin')")

    def test_wrong(self):
        for error, args, keys in (
            (TypeError, (3,), {}),
            (ValueError, ("",), {}),
            (ValueError, ("a\0",), {}),
            (TypeError, ("a", "5"), {}),
            (TypeError, ("a", True), {}),
            (ValueError, ("a", 0), {}),
            (ValueError, ("a",), {"interpreters": {"pl": "perl"}}),
            (TypeError, ("a",), {"interpreters": {".pl": []}}),
            (TypeError, ("a",), {"env": {"A": 1}}),
            (ValueError, ("a",), {"env": {"A=": "1"}}),
        ):
            with self.subTest(args=args, keys=keys), self.assertRaises(error) as raised:
                CGIApplication(*args, **keys)
            self.assertIn("CGIApplication", str(raised.exception))

    def test_subclass(self):
        class Guarded(CGIApplication):
            def __call__(self, environ, start_response):
                return super().__call__(environ, start_response)

        class Named(CGIApplication):
            pass

        self.assertFalse(hasattr(Guarded("x"), "_fapws_cgi"))
        self.assertTrue(hasattr(Named("x"), "_fapws_cgi"))


if __name__ == "__main__":
    unittest.main()
