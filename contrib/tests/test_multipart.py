import gc
import io
import os
import unittest

from fapws.contrib.multipart import MultipartError, parse

TEXT = b'Content-Disposition: form-data; name="a"'
FILE = b'Content-Disposition: form-data; name="f"; filename="x.bin"\r\nContent-Type: image/png'


def part(head, body, boundary=b"B"):
    return b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


def environ(body, content_type="multipart/form-data; boundary=B", length=None):
    return {
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)) if length is None else length,
        "wsgi.input": io.BytesIO(body),
    }


class Dribble(io.BytesIO):
    """Returns a few bytes at a time, like a socket."""

    def __init__(self, body, step):
        super().__init__(body)
        self.step = step

    def read(self, size=-1):
        return super().read(self.step if size < 0 else min(size, self.step))


class Good(unittest.TestCase):
    def test_fields(self):
        form = parse(environ(part(TEXT, b"one") + part(TEXT, "zwei é".encode()) + part(TEXT, b"") + b"--B--\r\n"))
        self.assertEqual(form.fields, {"a": ["one", "zwei é", ""]})
        self.assertEqual(form.field("a"), "one")
        self.assertEqual(form.field("no"), "")
        self.assertIsNone(form.file("f"))

    def test_file(self):
        data = bytes(range(256)) * 300 + b"\r\n--\r\n--A\r\n\r\n"
        with parse(environ(part(FILE, data) + b"--B--")) as form:
            file = form.file("f")
            self.assertEqual((file.name, file.filename, file.content_type), ("f", "x.bin", "image/png"))
            self.assertEqual(file.size, len(data))
            self.assertEqual(file.file.read(), data)
        self.assertTrue(file.file.closed)

    def test_split_anywhere(self):
        data = b"\r\n--\r\n--Bo\r\n--C" * 30
        body = b"preamble\r\n" + part(TEXT, b"v", b"Boundary") + part(FILE, data, b"Boundary") + b"--Boundary-- \r\nend"
        for step in [1, 2, 3, 7, 10, 11, 12, 13, 64, 500, len(body)]:
            with self.subTest(step=step):
                env = environ(body, "multipart/form-data; boundary=Boundary")
                env["wsgi.input"] = Dribble(body, step)
                with parse(env) as form:
                    self.assertEqual(form.fields, {"a": ["v"]})
                    self.assertEqual(form.file("f").file.read(), data)

    def test_variants(self):
        for what, body, content_type in [
            ("boundary in quotes", part(TEXT, b"v") + b"--B--", 'Multipart/Form-Data; charset=utf-8; boundary="B"'),
            ("blanks behind a boundary", part(TEXT, b"v").replace(b"--B", b"--B \t") + b"--B--", None),
            ("names in other case", part(TEXT.upper().replace(b'"A"', b'"a"'), b"v") + b"--B--", None),
            ("no blank after the colon", part(TEXT.replace(b": ", b":"), b"v") + b"--B--", None),
            ("no quotes", part(TEXT.replace(b'"', b""), b"v") + b"--B--", None),
            ("other headers", part(b"X-Y: z\r\n" + TEXT + b"\r\nContent-Type: text/plain", b"v") + b"--B--", None),
            ("8bit", part(TEXT + b"\r\nContent-Transfer-Encoding: 8BIT", b"v") + b"--B--", None),
        ]:
            with self.subTest(what):
                form = parse(environ(body, content_type or "multipart/form-data; boundary=B"))
                self.assertEqual(form.fields, {"a": ["v"]})

    def test_filenames(self):
        for sent, want in [
            ("x.txt", "x.txt"),
            ("é.txt", "é.txt"),
            ("a;b=c.txt", "a;b=c.txt"),
            ("say %22hi%22", 'say "hi"'),
            ('say \\"hi\\"', 'say "hi"'),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\x.txt", "x.txt"),
            ("folder\\", ""),
            ("..", ".."),
        ]:
            with self.subTest(sent=sent):
                head = f'Content-Disposition: form-data; name="f"; filename="{sent}"'.encode()
                with parse(environ(part(head, b"x") + b"--B--")) as form:
                    self.assertEqual(form.file("f").filename, want)

    def test_empty_file_input_is_left_out(self):
        head = b'Content-Disposition: form-data; name="f"; filename=""\r\nContent-Type: application/octet-stream'
        self.assertEqual(parse(environ(part(head, b"") + b"--B--")).files, {})
        with parse(environ(part(FILE, b"") + b"--B--")) as form:
            self.assertEqual(form.file("f").size, 0)

    def test_no_parts(self):
        form = parse(environ(b"--B--\r\n"))
        self.assertEqual((form.fields, form.files), ({}, {}))

    def test_reads_no_further_than_announced(self):
        body = part(TEXT, b"v") + b"--B--"
        env = environ(body + b"next request", length=str(len(body)))
        parse(env)
        self.assertEqual(env["wsgi.input"].read(), b"next request")

    def test_without_announced_length(self):
        self.assertEqual(parse(environ(part(TEXT, b"v") + b"--B--", length="")).fields, {"a": ["v"]})


class Bad(unittest.TestCase):
    def test_content_type(self):
        for content_type in [
            "",
            "text/plain; boundary=B",
            "application/x-www-form-urlencoded",
            "multipart/mixed; boundary=B",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="B',
            'multipart/form-data; boundary="B "',
            "multipart/form-data; boundary=" + "x" * 71,
            "multipart/form-data; boundary=é",
            "multipart/form-data; boundary=B; boundary=C",
        ]:
            with self.subTest(content_type=content_type), self.assertRaises(MultipartError):
                parse(environ(part(TEXT, b"v") + b"--B--", content_type))

    def test_body(self):
        for what, body in [
            ("nothing", b""),
            ("no boundary", b"hello"),
            ("cut in the value", part(TEXT, b"v")),
            ("cut in the header", b"--B\r\nContent-Disp"),
            ("cut in the last boundary", part(TEXT, b"v") + b"--B-"),
            ("longer boundary", part(TEXT, b"v").replace(b"--B", b"--BB") + b"--B--"),
            ("bare LF", part(TEXT, b"v").replace(b"\r\n", b"\n") + b"--B--"),
            ("LF in a header", part(TEXT + b"\nX: y", b"v") + b"--B--"),
            ("CR in a header", part(TEXT + b"\rX: y", b"v") + b"--B--"),
            ("NUL in a header", part(TEXT + b"\r\nX: \0", b"v") + b"--B--"),
            ("no disposition", part(b"Content-Type: text/plain", b"v") + b"--B--"),
            ("no name", part(b'Content-Disposition: form-data; filename="x"', b"v") + b"--B--"),
            ("two names", part(TEXT + b'; name="b"', b"v") + b"--B--"),
            ("two dispositions", part(TEXT + b"\r\n" + TEXT, b"v") + b"--B--"),
            ("attachment", part(b'Content-Disposition: attachment; name="a"', b"v") + b"--B--"),
            ("open quote", part(b'Content-Disposition: form-data; name="a', b"v") + b"--B--"),
            ("behind a quote", part(TEXT + b"x; y=z", b"v") + b"--B--"),
            ("no colon", part(TEXT + b"\r\nhello", b"v") + b"--B--"),
            ("blank before the colon", part(TEXT + b"\r\nX : y", b"v") + b"--B--"),
            ("folded header", part(TEXT + b"\r\n X: y", b"v") + b"--B--"),
            ("many parameters", part(TEXT + b"".join(b"; p%d=" % i for i in range(20)), b"v") + b"--B--"),
            ("many lines", part(TEXT + b"".join(b"\r\nX%d:" % i for i in range(20)), b"v") + b"--B--"),
            ("base64", part(TEXT + b"\r\nContent-Transfer-Encoding: base64", b"dg==") + b"--B--"),
        ]:
            with self.subTest(what), self.assertRaises(MultipartError):
                parse(environ(body))

    def test_limits(self):
        text, file = part(TEXT, b"12345"), part(FILE, b"12345")
        named = part('Content-Disposition: form-data; name="é"'.encode(), b"value")
        table = [
            (dict(max_parts=2), text + file, True),
            (dict(max_parts=2), text + file + text, False),
            (dict(max_field_size=5), text, True),
            (dict(max_field_size=4), text, False),
            (dict(max_fields_size=12), text + text, True),
            (dict(max_fields_size=11), text + text, False),
            (dict(max_fields_size=7), named, True),
            (dict(max_fields_size=6), named, False),
            (dict(max_field_size=2), part(TEXT, b"\xff\xfe"), True),  # as sent, not as U+FFFD
            (dict(max_field_size=1), part(TEXT, b"\xff\xfe"), False),
            (dict(max_file_size=5), file, True),
            (dict(max_file_size=4), file, False),
            (dict(max_headers_size=len(TEXT)), text, True),
            (dict(max_headers_size=len(TEXT) - 1), text, False),
            (dict(max_headers_size=100), part(TEXT + b"\r\n" + b"X" * 200, b""), False),
        ]
        for limits, body, fits in table:
            with self.subTest(**limits, body=body):
                if fits:
                    parse(environ(body + b"--B--"), **limits).close()
                else:
                    with self.assertRaises(MultipartError):
                        parse(environ(body + b"--B--"), **limits)

    def test_no_temporary_file_is_left(self):
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        body = part(FILE, b"x" * 5000) * 3
        with self.assertRaises(MultipartError) as caught:
            parse(environ(body), max_file_memory=100)
        # The traceback keeps all variables of parse alive, so only close() can have closed the files.
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        del caught
