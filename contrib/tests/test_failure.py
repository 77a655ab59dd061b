"""Tests the line about an exception that ended the loading of an application."""
from __future__ import annotations

import json
import os
import sys
import tempfile
import unittest
from unittest import mock

from fapws._failure import describe, describe_text


def raised(f: object) -> BaseException:
    try:
        f()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Describe(unittest.TestCase):
    def test_place_is_in_the_code_of_the_user(self) -> None:
        line = describe(raised(lambda: json.loads("nonsense")), "app")
        self.assertRegex(line, r"test_failure\.py:\d+: json\.decoder\.JSONDecodeError: Expecting value: ")

    def test_one_line(self) -> None:
        self.assertEqual(describe(ValueError("\n first \nsecond"), "app"), "app: ValueError: first ...")
        self.assertEqual(describe(ValueError("a\tb\x1b[m"), "app"), "app: ValueError: a b [m")
        self.assertEqual(len(describe(ValueError("x" * 5000), "app")), len("app: ValueError: ...") + 300)

    def test_without_text(self) -> None:
        self.assertEqual(describe(KeyboardInterrupt(), "app"), "app: KeyboardInterrupt")
        self.assertRegex(describe(Silent(), "app"), r"^app: \S*Silent$")

    def test_exit(self) -> None:
        for error, call in (
            (SystemExit(), "sys.exit()"), (SystemExit(3), "sys.exit(3)"), (SystemExit("why"), "sys.exit('why')"),
        ):
            self.assertEqual(
                describe(error, "app").partition(";")[0], f"app: {call} was called while loading, so nothing is served"
            )

    def test_syntax(self) -> None:
        line = describe(raised(lambda: compile("a =", "thing.py", "exec")), "app")
        self.assertRegex(line, r"^thing\.py:1: SyntaxError: invalid syntax; this fapws runs Python 3\.\d+$")

    def test_missing_module(self) -> None:
        def missing() -> None:
            import not_there_at_all  # noqa: F401

        self.assertIn("No module named 'not_there_at_all'; install it in ", describe(raised(missing), "app"))

        def child() -> None:
            import json.not_there  # noqa: F401

        self.assertTrue(describe(raised(child), "app").endswith("; json has no such module"))

    def test_extension_for_another_python(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/package_of_test")
            for file in ("__init__.py", "fast.cpython-38-sparc-linux-gnu.so", "faster.so"):
                open(f"{folder}/package_of_test/{file}", "w").close()

            def load() -> None:
                import package_of_test.fast  # noqa: F401

            with mock.patch.object(sys, "path", [folder, *sys.path]):
                line = describe(raised(load), "app")
        end = "fast.cpython-38-sparc-linux-gnu.so is for another Python or C library: install package_of_test again"
        self.assertTrue(line.endswith(end), line)

    def test_python_without_openssl(self) -> None:
        line = describe(ModuleNotFoundError("No module named '_ssl'", name="_ssl"), "app")
        self.assertIn("./build.sh musl --ssl", line)

    def test_text_of_a_framework(self) -> None:
        text = (
            'Traceback (most recent call last):\n  File "/x/site-packages/a.py", line 1, in f\n    g()\nValueError: no'
            " cache\n\n"
        )
        self.assertEqual(describe_text(text, "app"), "/x/site-packages/a.py:1: ValueError: no cache")
        mine = text.replace(
            "ValueError", '  File "/srv/app.py", line 7, in g\n  File "/x/site-packages/b.py", line 2, in h\nValueError'
        )
        self.assertEqual(describe_text(mine, "app"), "/srv/app.py:7: ValueError: no cache")
        self.assertEqual(describe_text(" \n", "app"), "app: no reason given")
