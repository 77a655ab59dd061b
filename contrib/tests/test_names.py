import importlib.util
import os
import re
import subprocess
import sys
import unittest


class Fapws4(unittest.TestCase):
    """Importing a module by its Fapws4 name or by its fapws name gives the same module object."""

    def test_same_modules(self):
        for name in ["", "._environ", ".contrib", ".contrib.headers", ".contrib.views", ".contrib.multipart"]:
            with self.subTest(name=name):
                old = importlib.import_module("fapws4" + name)
                new = importlib.import_module("fapws" + name)
                self.assertIs(old, new)
                self.assertEqual(new.__name__, "fapws" + name)
                self.assertEqual(new.__spec__.name, "fapws" + name)

    def test_either_name_first(self):
        for first, second in [("fapws4", "fapws"), ("fapws", "fapws4")]:
            code = (
                f"from {first}.contrib.views import Staticfile as A\n"
                f"from {second}.contrib.views import Staticfile as B\n"
                f"import {first}.contrib.headers, {second}.contrib.headers\n"
                "import fapws.contrib, fapws4.contrib\n"
                "assert A is B and fapws4.contrib.headers is fapws.contrib.headers\n"
            )
            with self.subTest(first=first):
                subprocess.run([sys.executable, "-c", code], check=True)

    def test_modules_of_older_scripts(self):
        """fapws.contrib has the modules that scripts for fapws3 and Fapws4 import. Some of these modules work only in
        the executable."""
        for name in ["cgi", "headers", "log", "sessions", "views", "zip"]:
            with self.subTest(name=name):
                self.assertIsNotNone(importlib.util.find_spec("fapws.contrib." + name))

    def test_unknown_module_is_named(self):
        with self.assertRaises(ModuleNotFoundError) as caught:
            importlib.import_module("fapws4.nothing")
        self.assertEqual(caught.exception.name, "fapws4.nothing")


class Names(unittest.TestCase):
    def test_offered(self):
        """Editors and shells offer the public names of the package before they are imported, and no internal names."""
        code = "import fapws, fapws.metrics; print(fapws.__version__, *dir(fapws))"
        version, *offered = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.split()
        self.assertLessEqual({"publish", "upload", "WebSocket", "metrics"}, set(offered))
        self.assertEqual(
            [name for name in offered if name == "TYPE_CHECKING" or name[0] == "_" and name[:2] != "__"], []
        )
        with open(os.path.join(os.path.dirname(__file__), "../../CHANGELOG.md")) as changelog:
            self.assertEqual(version, re.search("(?m)^## ([0-9.]+)", changelog.read()).group(1))


class Import(unittest.TestCase):
    def test_base_outside_the_executable(self):
        run = subprocess.run([sys.executable, "-c", "import fapws4.base"], stderr=subprocess.PIPE, text=True)
        last = run.stderr.strip().splitlines()[-1]
        self.assertRegex(last, r"^ImportError: fapws\.base .* fapws script\.py,")

    def test_light(self):
        """The imports of a script load no more of the standard library than python3 at its start."""
        code = (
            "import sys\n"
            "before = set(sys.modules)\n"
            "import fapws._environ, fapws.contrib.headers, fapws.contrib.views, fapws.contrib.multipart\n"
            "print(*{m for m in set(sys.modules) - before if not m.startswith('fapws')})\n"
        )
        run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(run.stdout.split(), ["__future__"])
