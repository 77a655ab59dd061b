import datetime
import unittest
from http.cookies import SimpleCookie

from fapws._cookies import cookie, deleted_cookie, http_date

UTC = datetime.timezone.utc


class Cookie(unittest.TestCase):
    def test_text(self):
        moment = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        table = [
            (dict(key="a"), "a=; Path=/"),
            (dict(key="a", value="b"), "a=b; Path=/"),
            (dict(key="a", value="b=c/d?e"), "a=b=c/d?e; Path=/"),
            (dict(key="a", value="x y"), 'a="x y"; Path=/'),
            (dict(key="a", value="x;y,z"), 'a="x\\073y\\054z"; Path=/'),
            (dict(key="a", value='"\\'), 'a="\\"\\\\"; Path=/'),
            (dict(key="a", value="é"), 'a="\\351"; Path=/'),
            (dict(key="a", value=7), "a=7; Path=/"),
            (dict(key="a", path=None), "a="),
            (dict(key="a", path="/x", domain="example.org"), "a=; Domain=example.org; Path=/x"),
            (dict(key="a", max_age=0), "a=; Max-Age=0; Path=/"),
            (dict(key="a", max_age=3600), "a=; Max-Age=3600; Path=/"),
            (dict(key="a", expires=0), "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/"),
            (dict(key="a", expires=moment), "a=; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Path=/"),
            (
                dict(key="a", expires="Wed, 02 Jan 2030 03:04:05 GMT"),
                "a=; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Path=/",
            ),
            (dict(key="a", secure=True, httponly=True), "a=; Path=/; Secure; HttpOnly"),
            (dict(key="a", samesite="lax"), "a=; Path=/; SameSite=Lax"),
            (dict(key="a", samesite="None", secure=True), "a=; Path=/; Secure; SameSite=None"),
        ]
        for arguments, want in table:
            with self.subTest(**arguments):
                self.assertEqual(cookie(**arguments), want)

    def test_refused(self):
        table = [
            dict(key=""),
            dict(key="a b"),
            dict(key="a=b"),
            dict(key="a;b"),
            dict(key="a\r\n"),
            dict(key="é"),
            dict(key="a", value="x\r\nSet-Cookie: b=c"),
            dict(key="a", value="x\ny"),
            dict(key="a", value="x\0y"),
            dict(key="a", value="x\x7f"),
            dict(key="a", value="€"),
            dict(key="a", path="/;x"),
            dict(key="a", path="/\r\nb"),
            dict(key="a", path="/é"),
            dict(key="a", domain="x;y"),
            dict(key="a", domain="x\r\ny"),
            dict(key="a", expires="x\ny"),
            dict(key="a", expires="x; Path=/"),
            dict(key="a", expires=[]),
            dict(key="a", expires=1e300),
            dict(key="a", expires=float("nan")),
            dict(key="a", max_age="soon"),
            dict(key="a", samesite="yes"),
            dict(key="a", samesite="None"),
        ]
        for arguments in table:
            with self.subTest(**arguments), self.assertRaises(ValueError):
                cookie(**arguments)

    def test_standard_library_reads_it_back(self):
        for value in [
            "", "plain", "a b", "a;b", "a,b", 'say "hi"', "back\\slash", "\\073", "50%", "é", "{}[]()<>@:=?/",
        ]:
            with self.subTest(value=value):
                jar = SimpleCookie(cookie("k", value, max_age=5, httponly=True, samesite="Strict"))
                self.assertEqual(jar["k"].value, value)
                self.assertEqual(jar["k"]["max-age"], "5")
                self.assertEqual(jar["k"]["samesite"], "Strict")

    def test_naive_datetime_is_local_time(self):
        moment = datetime.datetime(2030, 6, 1, 12, 0, 0)
        self.assertIn(http_date(moment.timestamp()), cookie("k", expires=moment))

    def test_deleted(self):
        self.assertEqual(
            deleted_cookie("a", path="/x", domain="example.org"),
            "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Domain=example.org; Path=/x",
        )


class HTTPDate(unittest.TestCase):
    def test_rfc_9110_example(self):
        self.assertEqual(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT")

    def test_fraction_and_before_1970(self):
        self.assertEqual(http_date(0.9), "Thu, 01 Jan 1970 00:00:00 GMT")
        self.assertEqual(http_date(-1), "Wed, 31 Dec 1969 23:59:59 GMT")
