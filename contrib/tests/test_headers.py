import unittest

from fapws.contrib.headers import redirect, rfc1123_date


class Recorder:
    """A start_response that records its calls."""

    def __call__(self, status, headers, exc_info=None):
        self.status = status
        self.headers = dict(headers)


class Redirect(unittest.TestCase):
    def test_status(self):
        for arguments, want in [
            (dict(), "302 Found"),
            (dict(permanent=False), "302 Found"),
            (dict(permanent=True), "301 Moved Permanently"),
            (dict(status=303), "303 See Other"),
            (dict(status=307), "307 Temporary Redirect"),
            (dict(status=308), "308 Permanent Redirect"),
            (dict(permanent=True, status=302), "302 Found"),
        ]:
            with self.subTest(**arguments):
                start = Recorder()
                body = b"".join(redirect(start, "/x", **arguments))
                self.assertEqual(start.status, want)
                self.assertEqual(start.headers["Location"], "/x")
                self.assertIn(b'href="/x"', body)

    def test_location(self):
        for location, want in [
            ("https://example.org/a?b=c&d#e", "https://example.org/a?b=c&d#e"),
            ("/a b", "/a%20b"),
            ("/é", "/%C3%A9"),
            ("/already%20done", "/already%20done"),
        ]:
            with self.subTest(location=location):
                start = Recorder()
                redirect(start, location)
                self.assertEqual(start.headers["Location"], want)

    def test_page_is_escaped(self):
        body = b"".join(redirect(Recorder(), '/"><b>&'))
        self.assertIn(b'<a href="/&quot;&gt;&lt;b&gt;&amp;">', body)
        self.assertNotIn(b"<b>", body)

    def test_refused(self):
        for location in ["/\r\nSet-Cookie: a=b", "/\n", "/\r", "/\0", "/\x7f", "/\t"]:
            with self.subTest(location=location), self.assertRaises(ValueError):
                redirect(Recorder(), location)
        for status in [200, 300, 304, 305, 306, 404, "302"]:
            with self.subTest(status=status), self.assertRaises(ValueError):
                redirect(Recorder(), "/", status=status)


class Date(unittest.TestCase):
    def test_date(self):
        self.assertEqual(rfc1123_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT")
