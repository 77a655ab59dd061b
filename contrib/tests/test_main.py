"""Tests the program that starts the server of a wheel, with a library that the dynamic loader cannot preload."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import fapws

PY_SPY = "import subprocess, sys; subprocess.run([%r, '-m', 'fapws'])" % sys.executable
FROZEN = "import sys; sys.frozen = True; from fapws.__main__ import main; main()"
TRACED = "import sys; sys.settrace(lambda *_: None); from fapws.__main__ import main; main()"


class MainTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(self.folder + "/fapws")
        shutil.copy(os.path.dirname(fapws.__file__) + "/__main__.py", self.folder + "/fapws")
        for name in "__init__.py", "libfapws.so":
            open(os.path.join(self.folder, "fapws", name), "w").close()

    def said(self, *command, **variables):
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "FAPWS", "LD_"))
        }
        environ.update(variables, PYTHONPATH=self.folder)
        done = subprocess.run(
            command, cwd=self.folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        return done.stderr

    def test_recorders(self):
        """A profiler or debugger that would not run in the server is named, and the server starts."""
        os.symlink(sys.executable, self.folder + "/py-spy")
        for name, *command in (
            ("a profiler", sys.executable, "-m", "cProfile", "-m", "fapws"),
            ("a profiler", sys.executable, "-c", TRACED),
            ("py-spy", self.folder + "/py-spy", "-c", PY_SPY),
        ):
            said = self.said(*command)
            self.assertIn(" records nothing of the server", said)
            self.assertIn("has not preloaded", said)
            # since Python 3.12, the name may be that of a tool registered in sys.monitoring
            if sys.version_info < (3, 12):
                self.assertIn("fapws: %s records" % name, said)

    def test_none(self):
        self.assertNotIn("records nothing", self.said(sys.executable, "-m", "fapws"))

    def test_frozen(self):
        """A program built with PyInstaller cannot start the server: it contains no separate Python interpreter."""
        said = self.said(sys.executable, "-c", FROZEN)
        self.assertIn("PyInstaller", said)
        self.assertEqual(said.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
