import io
import json
import unittest

import fapws
from fapws import upload


def rule(*args, **keys):
    given = json.loads(upload(*args, **keys)._fapws_upload)
    if len(given.pop("key")) != 32:
        raise AssertionError("no key")
    return given


def body(to, given, piece=b""):
    """Returns a request body like the one with which the server calls a handler after an upload."""
    return io.BytesIO(json.dumps(dict(given, key=to._rule["key"])).encode() + b"\n" + piece)


def handler(environ, start_response):
    return environ["fapws.upload"]


class UploadTest(unittest.TestCase):
    def test_rule(self):
        self.assertEqual(
            rule("in"),
            {
                "path": "in", "descriptor": -1, "pieces": 0, "max_size": 1 << 30, "max_active": 16, "resumable": True,
                "expires": 86400 * 10**9, "sync": 0, "replace": True, "mode": 0o644, "channel": "", "hands_on": False,
                "origins": [],
            },
        )
        given = rule(
            3, handler, max_size="64m", sync="4K", replace=False, mode=0o600, channel="a", max_active=1,
            resumable=False, expires=60, origins="*",
        )
        self.assertEqual(
            given,
            {
                "path": "", "descriptor": 3, "pieces": 0, "max_size": 64 << 20, "max_active": 1, "resumable": False,
                "expires": 60 * 10**9, "sync": 4096, "replace": False, "mode": 0o600, "channel": "a", "hands_on": True,
                "origins": ["*"],
            },
        )
        self.assertEqual((rule("x", max_size=None, sync="none")["max_size"], rule("x", sync="none")["sync"]), (0, -1))

    def test_wrong_arguments(self):
        async def late(environ, start_response):
            yield

        async def early(environ, start_response):
            pass

        def consumer(file):
            yield

        for error, args, keys in (
            (TypeError, (None,), {}), (TypeError, (True,), {}), (ValueError, ("",), {}), (ValueError, ("a\0",), {}),
            (ValueError, (-1,), {}), (TypeError, ("x", "y"), {}), (TypeError, ("x", lambda environ: None), {}),
            (TypeError, ("x", late), {}), (TypeError, (consumer, early), {}), (ValueError, ("x",), {"max_size": "1Q"}),
            (ValueError, ("x",), {"max_size": 0}), (TypeError, ("x",), {"max_size": 1.5}),
            (ValueError, ("x",), {"sync": "sometimes"}), (ValueError, ("x",), {"max_active": 0}),
            (TypeError, ("x",), {"max_active": "1"}), (ValueError, ("x",), {"channel": "a b"}),
            (ValueError, ("x",), {"origins": "example.org"}), (TypeError, ("x",), {"origins": [1]}),
            (ValueError, ("x",), {"expires": 0}), (TypeError, ("x",), {"expires": "1h"}),
            (TypeError, ("x",), {"mode": "0644"}), (ValueError, ("x",), {"mode": 0o1000}),
        ):
            with self.assertRaisesRegex(error, "^upload: ", msg=(args, keys)):
                upload(*args, **keys)

    def test_finished(self):
        done = {
            "id": "7", "fields": {"a": ["b", "c"]},
            "files": [
                {"name": "x", "path": "/in/x", "size": 1, "sha256": "00", "type": "a/b", "field": "f"},
                {"name": "y", "size": 0, "sha256": "11"},
            ],
        }
        to = upload("in", handler)
        got = to({"wsgi.input": body(to, done)}, None)
        self.assertEqual((got.id, got.field("a"), got.field("z", "-"), len(got.files)), ("7", "b", "-", 2))
        self.assertEqual(
            vars(got.file),
            {"path": "/in/x", "name": "x", "size": 1, "sha256": "00", "content_type": "a/b", "field": "f"},
        )
        self.assertEqual((got.files[1].path, got.files[1].content_type, got.files[1].field), ("", "", ""))
        self.assertIsInstance(got, fapws.Upload)
        for forged in (
            json.dumps(done), json.dumps(dict(done, key="")), json.dumps(dict(done, key=upload("in")._rule["key"])), "",
            "{", to._rule["key"],
        ):
            with self.assertRaises((RuntimeError, ValueError)):
                to({"wsgi.input": io.BytesIO(forged.encode())}, None)

    def test_pieces(self):
        got = []

        def consumer(file):
            got.append((file.name, file.size))
            try:
                while True:
                    piece = yield
                    got.append(piece)
                    if piece is None or piece == b"enough":
                        return
            except GeneratorExit:
                got.append("exit")
                raise

        to = upload(consumer, piece_size="1K")
        self.assertEqual((to._rule["pieces"], to._rule["hands_on"], to._rule["path"]), (1024, True, ""))

        def ask(op, piece=b"", **more):
            said = []
            self.assertEqual(
                to({"wsgi.input": body(to, dict(more, op=op, id="7"), piece)}, lambda *given: said.append(given[0])), []
            )
            self.assertEqual(said, ["204 No Content"])

        file = {"name": "x", "size": -1, "sha256": ""}
        ask("begin", file=file)
        ask("piece", b"a\nb")
        ask("end")
        ask("begin", file=file)
        ask("piece", b"c")
        ask("abort")
        ask("abort")
        ask("begin", file=file)
        with self.assertRaisesRegex(RuntimeError, "ended before"):
            ask("piece", b"enough")
        self.assertEqual(got, [("x", -1), b"a\nb", None, ("x", -1), b"c", "exit", ("x", -1), b"enough"])
        for wrong in (handler, lambda file: None, print):
            with self.assertRaises(TypeError):
                upload(wrong)

    def test_without_body(self):
        def ask(application, status=204):
            said = []
            to = upload("in", application)
            result = to(
                {"wsgi.input": body(to, {"id": "7", "files": [], "status": status})}, lambda *given: said.append(given)
            )
            return said, result

        def plain(environ, start_response):
            return "stored"

        def generator(environ, start_response):
            start_response("202 Accepted", [("Content-Type", "text/plain"), ("X-A", "b")])
            yield "stored"

        def refusing(environ, start_response):
            start_response("409 Conflict", [("X-A", "b")])
            return ["not", "this"]

        self.assertEqual(ask(plain, 201), ([("201 Created", [])], []))
        self.assertEqual(ask(generator), ([("204 No Content", [("X-A", "b")])], []))
        self.assertEqual(ask(refusing), ([("409 Conflict", [("X-A", "b")])], ["not", "this"]))


if __name__ == "__main__":
    unittest.main()
