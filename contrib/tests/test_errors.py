import subprocess
import sys
import unittest
from base64 import b64encode
from hashlib import sha256

from fapws import HTTPError, _errors


class HTTPErrorTest(unittest.TestCase):
    def test_refused(self):
        for arguments, error in [
            ((200,), "must be from 400 to 599, not 200"),
            ((600,), "must be from 400 to 599, not 600"),
            ((302,), "needs a Location"),
            (("404",), "must be a number"),
            ((True,), "must be a number"),
            ((404, b"x"), "the text must be a str"),
            ((404, "x", [("a",)]), "pairs of str"),
            ((404, "x", [("a", 1)]), "pairs of str"),
            ((404, "x", [("a b", "")]), "is not a valid header name"),
            ((404, "x", [("", "")]), "is not a valid header name"),
            ((404, "x", [("a", "b\r\nc: d")]), "cannot be sent"),
            ((404, "x", {"a": "\u20ac"}), "cannot be sent"),
        ]:
            with self.subTest(arguments), self.assertRaisesRegex((ValueError, TypeError), error):
                HTTPError(*arguments)

    def test_answer(self):
        said = []
        body = HTTPError(404, "<é>")({}, lambda *arguments: said.append(arguments))
        status, headers = said[0]
        self.assertEqual((status, headers[0]), ("404 Not Found", ("Content-Type", "text/html; charset=utf-8")))
        style = b64encode(sha256(_errors.STYLE.encode()).digest()).decode()
        self.assertEqual(
            headers[1:],
            [("Content-Security-Policy",
              f"default-src 'none'; style-src 'sha256-{style}'; form-action 'none'; base-uri 'none'")],
        )
        self.assertIn("<p>&lt;é&gt;</p>", b"".join(body).decode())

    def test_unknown_status(self):
        self.assertEqual(str(HTTPError(499, "x")), "499 Error: x")
        self.assertEqual(str(HTTPError(399, headers={"location": "/"})), "399 Redirect")

    def test_import_is_cheap(self):
        code = "import sys; before = set(sys.modules); import fapws; print(*sorted(set(sys.modules) - before))"
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, universal_newlines=True, check=True)
        self.assertEqual(done.stdout.split(), ["fapws"])

    def test_unknown_name(self):
        with self.assertRaisesRegex(ImportError, "cannot import name 'HTTPErorr'"):
            from fapws import HTTPErorr  # noqa: F401
