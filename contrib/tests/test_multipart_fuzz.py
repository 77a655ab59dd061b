"""Sends random forms. Complete forms are read back unchanged; other forms are accepted only within the limits.
FAPWS_FUZZ is the number of forms, FAPWS_SEED is the seed."""
import os
import random
import unittest

from tests.test_multipart import Dribble, environ
from fapws.contrib.multipart import MultipartError, parse

FORMS = int(os.environ.get("FAPWS_FUZZ", "3000"))
SEED = int(os.environ.get("FAPWS_SEED", random.randrange(1 << 32)))
PIECES = [
    b"\r\n", b"--", b"--B", b"\r\n--B", b"\r\n--B--", b"\r\n--B\r\n", b"\r", b"\n", b"\0", b"\xff", b": ", b'"', b"; ",
    b"=", b"Content-Disposition: form-data", b'name="', b'filename="', b"filename*=utf-8''",
    b"Content-Type: text/plain", b"B" * 70,
]


def quoted(text):
    return text.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode()


def bytes_sent(text):
    """Returns the least number of bytes that were sent for a text: one or more for each U+FFFD."""
    return len(text.replace("\ufffd", "?").encode())


class Fuzz(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)

    def bytes(self, most):
        r = self.random
        pieces = (
            r.choice(PIECES) if r.random() < 0.5 else bytes(r.randrange(256) for _ in range(r.randrange(9)))
            for _ in range(r.randrange(most))
        )
        return b"".join(pieces)

    def name(self):
        return "".join(self.random.choice("abcxyz é-_.") for _ in range(self.random.randrange(1, 12)))

    def form(self, boundary):
        parts, body = [], b""
        for _ in range(self.random.randrange(6)):
            name, data = self.name(), self.bytes(30)
            while b"--" + boundary in data:
                data = data.replace(b"--" + boundary, b"")
            head = b'Content-Disposition: form-data; name="' + quoted(name) + b'"'
            file = self.name() if self.random.random() < 0.5 else None
            if file is not None:
                head += b'; filename="' + quoted(file) + b'"\r\nContent-Type: application/x-any'
            else:
                data = data.decode("latin-1").encode()  # text is UTF-8
            parts.append((name, file, data))
            body += b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n"
        return parts, body + b"--" + boundary + b"--\r\n"

    def read(self, body, boundary, **limits):
        env = environ(body, "multipart/form-data; boundary=" + boundary.decode())
        env["wsgi.input"] = Dribble(body, self.random.randrange(1, 400))
        return parse(env, **limits)

    def test_whole_forms(self):
        for i in range(FORMS):
            boundary = self.random.choice([b"B", b"----WebKitFormBoundaryAbC123", b"x" * 70])
            parts, body = self.form(boundary)
            with self.subTest(form=i, seed=SEED), self.read(body, boundary) as form:
                for name in {name for name, _, _ in parts}:
                    texts = [data.decode() for n, file, data in parts if n == name and file is None]
                    self.assertEqual(form.fields.get(name, []), texts)
                    sent = [data for n, file, data in parts if n == name and file is not None]
                    self.assertEqual([f.file.read() for f in form.files.get(name, [])], sent)

    def test_broken_forms(self):
        for i in range(FORMS * 4):
            _, body = self.form(b"B")
            for _ in range(self.random.randrange(1, 5)):
                at = self.random.randrange(len(body) + 1)
                body = body[:at] + self.bytes(4) + body[at + self.random.randrange(20):]
            with self.subTest(form=i, seed=SEED):
                try:
                    with self.read(
                        body, b"B", max_parts=4, max_field_size=200, max_fields_size=400, max_file_size=300
                    ) as form:
                        texts = [text for values in form.fields.values() for text in values]
                        names = [name for name, values in form.fields.items() for _ in values]
                        files = [file for values in form.files.values() for file in values]
                        self.assertLessEqual(len(texts) + len(files), 4)
                        self.assertTrue(all(bytes_sent(text) <= 200 for text in texts))
                        self.assertLessEqual(sum(map(bytes_sent, names + texts)), 400)
                        self.assertTrue(all(file.size <= 300 for file in files))
                except MultipartError as error:
                    self.assertNotIn("\n", str(error))


if __name__ == "__main__":
    unittest.main()
