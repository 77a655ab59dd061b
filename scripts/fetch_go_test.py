"""Tests of fetch_go.py: cd scripts && python3 -m unittest fetch_go_test"""

import errno
import hashlib
import http.server
import io
import os
import tempfile
import threading
import unittest
import zipfile
from unittest import mock

import fetch_go

VERSION = "1.99.1"
ARCH = fetch_go.architecture()
MODULE = f"v0.0.1-go{VERSION}.linux-{ARCH}"
PATH = f"golang.org/toolchain/@v/{MODULE}.zip"


def toolchain():
    """Returns the zip of a toolchain with three files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as files:
        for name in "bin/go", "src/_go.mod", "src/fmt/print.go":
            files.writestr(f"golang.org/toolchain@{MODULE}/{name}", name)
    return out.getvalue()


ZIP = toolchain()  # once: it has the time in it
SHA256 = hashlib.sha256(ZIP).hexdigest()


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers /STATUS/... with the status, and /ok/... with the toolchain.
    /private/... wants a user."""

    def do_GET(self):
        name, path = self.path[1:].split("/", 1)
        self.server.asked.append(name)
        status = 200 if name in ("ok", "private") and path == PATH else int(name)
        if name == "private" and self.headers["Authorization"] != "Basic bWU6c2VjcmV0":
            status = 401
        self.send_response(status)
        self.end_headers()
        if status == 200:
            self.wfile.write(ZIP)

    def log_message(self, *args):
        pass


class FetchTest(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        self.server.asked = []
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        self.folder = os.path.join(self.scratch, "build", "go", VERSION)
        self.sum = SHA256
        environ = {"HOME": self.scratch, "PATH": os.environ["PATH"]}
        patch = mock.patch.dict(os.environ, environ, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def fetch(self, proxy):
        os.environ["GOPROXY"] = proxy.replace("URL", self.url)
        fetch_go.main(VERSION, self.folder, "other=00", f"{ARCH}={self.sum}")

    def fails(self, proxy, pattern):
        with self.assertRaisesRegex(fetch_go.Failure, pattern):
            self.fetch(proxy)
        self.assertEqual([], os.listdir(os.path.dirname(self.folder)))

    def test_unpacked(self):
        self.fetch("URL/ok")
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    found[os.path.relpath(path, self.folder)] = (file.read(), os.access(path, os.X_OK))
        self.assertEqual({"bin/go": ("bin/go", True), "src/go.mod": ("src/_go.mod", False),
                          "src/fmt/print.go": ("src/fmt/print.go", False), "go.mod": ("", False)}, found)
        self.assertEqual([VERSION], os.listdir(os.path.dirname(self.folder)))
        self.fetch("URL/ok")  # again: the folder is replaced

    def test_lists(self):
        for proxy, asked in {
            "URL/404,URL/ok": ["404", "ok"],
            "URL/410,URL/ok/": ["410", "ok"],
            "URL/500|URL/ok": ["500", "ok"],
            "URL/403|URL/404,URL/ok": ["403", "404", "ok"],
            " URL/ok , off": ["ok"],
            "file:///nowhere,URL/ok": ["ok"],
        }.items():
            with self.subTest(proxy):
                self.server.asked.clear()
                self.fetch(proxy)
                self.assertEqual(asked, self.server.asked)

    def test_failures(self):
        for proxy, pattern in {
            "URL/500,URL/ok": "^http://127.*: 500 ",  # a comma: only a missing version leads on
            "URL/404": ": 404 ",
            "URL/404,off": "404.*; GOPROXY=off forbids downloads",
            "off": "^GOPROXY=off forbids downloads$",
            "example.com": "^GOPROXY: .example.com. is not a URL",
            ",": "lists no proxy",
            "http://127.0.0.1:1": "refused",
        }.items():
            with self.subTest(proxy):
                self.fails(proxy, pattern)

    def test_checksum(self):
        self.sum = "0" * 64
        # Another place is not tried: the answer was forged, not missing.
        self.fails("URL/ok|URL/ok", f"SHA-256 {SHA256} instead of 0000")
        self.assertEqual(["ok"], self.server.asked)

    def test_full_disk(self):
        os.environ["GOPROXY"] = self.url + "/ok|" + self.url + "/ok"
        full = open("/dev/full", "w+b", buffering=0)
        self.addCleanup(full.close)
        full.seek = full.truncate = lambda *args: None
        with self.assertRaises(OSError):
            fetch_go.fetch(os.environ["GOPROXY"], PATH, full)
        for place in "fetch_go.fetch", "fetch_go.unpack", "os.makedirs":
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with self.subTest(place), mock.patch(place, side_effect=error), mock.patch("sys.stderr", io.StringIO()) as said:
                self.assertEqual(fetch_go.NO_ROOM, fetch_go.run([VERSION, self.folder, f"{ARCH}={self.sum}"]))
                self.assertRegex(said.getvalue(), rf"^fetching Go failed: the disk of {self.folder} is full: .*\n$")

    def test_no_checksum(self):
        with mock.patch.object(fetch_go, "architecture", lambda: "mips"):
            with self.assertRaisesRegex(fetch_go.Failure, r"no checksum is known .*\(mips\)"):
                self.fetch("URL/ok")

    def test_file(self):
        path = os.path.join(self.scratch, "a proxy", PATH)
        os.makedirs(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(ZIP)
        self.fetch(f"file://{self.scratch}/a%20proxy")
        self.assertTrue(os.path.exists(self.folder + "/bin/go"))

    def test_user(self):
        self.fails("URL/private", "401")
        self.fetch(self.url.replace("//", "//me:secret@") + "/private")
        with open(os.path.join(self.scratch, ".netrc"), "w", encoding="utf-8") as file:
            os.chmod(file.name, 0o600)
            file.write("machine 127.0.0.1 login me password secret\n")
        self.fetch("URL/private")

    def test_password_is_not_shown(self):
        with self.assertRaises(fetch_go.Failure) as raised:
            self.fetch(self.url.replace("//", "//me:secret@") + "/404")
        self.assertNotIn("secret", str(raised.exception))

    def test_configured(self):
        os.environ.pop("GOPROXY", None)
        self.assertEqual(fetch_go.DEFAULT_PROXY, fetch_go.configured_proxy())
        os.makedirs(os.path.join(self.scratch, ".config", "go"))
        with open(os.path.join(self.scratch, ".config", "go", "env"), "w", encoding="utf-8") as file:
            file.write("# comment\nGOFLAGS=-v\nGOPROXY=file:///x\n")
        self.assertEqual("file:///x", fetch_go.configured_proxy())
        os.environ["GOENV"] = "off"
        self.assertEqual(fetch_go.DEFAULT_PROXY, fetch_go.configured_proxy())
        os.environ["GOPROXY"] = "off"
        self.assertEqual("off", fetch_go.configured_proxy())


if __name__ == "__main__":
    unittest.main()
