import json
import pathlib
import unittest

from fapws import Login
from fapws.cache import cached


def app(environ, start_response):
    return [b"page"]


class Entry(unittest.TestCase):
    def test_given(self):
        entry = Login(app, pathlib.Path("users"), title="A router", logo="logo.svg")
        self.assertEqual(json.loads(entry._fapws_login), {"users": "users", "title": "A router", "logo": "logo.svg"})
        self.assertEqual(entry({}, None), [b"page"])
        self.assertIs(Login(cached(app, ttl=1), "users").__wrapped__.__wrapped__, app)

    def test_refused(self):
        for error, args, keys in [
            (TypeError, ("users", app), {}),
            (TypeError, (app,), {}),
            (TypeError, (app, None), {}),
            (ValueError, (app, ""), {}),
            (ValueError, (app, b"users"), {}),
            (ValueError, (app, "a\0b"), {}),
            (TypeError, (app, "users"), {"title": 1}),
        ]:
            with self.subTest(args=args, keys=keys), self.assertRaises(error):
                Login(*args, **keys)


if __name__ == "__main__":
    unittest.main()
