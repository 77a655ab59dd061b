"""Checks the files that hatchling and sbom.py write into a wheel. `./build.sh test` runs it, with hatchling."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts"))
import wheel  # noqa: E402

README = """# fapws

[Text](docs/a.md#part), [elsewhere](https://example.com/), [below](#start), [![picture](docs/p.png)](docs/b.md)
<a href="docs/c.md"><picture><source srcset="docs/dark.svg"><img src="docs/light.svg"></picture></a>

```python
routes[0](docs)
```
"""
# RELATIVE matches a link without an address.
RELATIVE = re.compile(r"(?:\]\(|(?:href|src)=\")(?!https?:|mailto:|#)[^)\"]*")


def with_home(url):
    return mock.patch.dict(os.environ, {"FAPWS_HOME_URL": url})


def hatchling(*arguments, source=wheel.ROOT):
    """Returns the output of hatchling for a source."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", *arguments], cwd=str(source), stdout=subprocess.PIPE,
        universal_newlines=True, check=True,
    ).stdout


def sdist(source, folder):
    """Makes the source distribution, unpacks it, and returns its directory and the names of its files."""
    hatchling("build", "-t", "sdist", "-d", folder, source=source)
    archive = glob.glob(os.path.join(folder, "*.tar.gz"))[0]
    with tarfile.open(archive) as files:
        files.extractall(folder)
        names = files.getnames()
    unpacked = archive[: -len(".tar.gz")]
    return unpacked, sorted(name.partition("/")[2] for name in names)


def write_program(path, text):
    with open(path, "w") as file:
        file.write("#!/bin/sh\n" + text + "\n")
    os.chmod(path, 0o755)


def said(command, **variables):
    """Returns what a command writes when it is called with the arguments -x, 1 and 2."""
    done = subprocess.run(
        [*command, "-x", "1", "2"], env={**os.environ, **variables}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, universal_newlines=True, check=True,
    )
    return done.stdout


class Test(unittest.TestCase):
    @with_home("https://example.com/fapws/")
    def test_description(self):
        text = wheel.description(README, "0.1.0")
        self.assertIn(
            "(https://example.com/fapws/blob/v0.1.0/docs/a.md#part), [elsewhere](https://example.com/),"
            " [below](#start)",
            text,
        )
        self.assertIn(
            "(https://example.com/fapws/raw/v0.1.0/docs/p.png)](https://example.com/fapws/blob/v0.1.0/docs/b.md)", text
        )
        self.assertIn('docs/c.md"><img src="https://example.com/fapws/raw/v0.1.0/docs/light.svg"></a>', text)
        self.assertIn("\nroutes[0](docs)\n", text)
        self.assertIn("/blob/0123456789/docs/a.md", wheel.description(README, "0.1.0+0123456789.dirty"))

    @with_home("")
    def test_description_without_a_page(self):
        text = wheel.description(README, "0.1.0")
        self.assertIn("\nText, [elsewhere](https://example.com/), [below](#start), \n", text)
        self.assertIn("\nroutes[0](docs)\n", text)
        self.assertNotIn("<", text)

    def test_metadata(self):
        with with_home(""):
            found = json.loads(hatchling("metadata"))
        self.assertNotIn("urls", {name for name, value in found.items() if value})
        with with_home("https://example.com/fapws"):
            found = json.loads(hatchling("metadata"))
        self.assertEqual(found["license"], "BSD-3-Clause")
        self.assertRegex(found["urls"]["Changelog"], r"^https://example\.com/fapws/blob/[^/]+/CHANGELOG\.md$")
        self.assertEqual(found["urls"]["Issues"], "https://example.com/fapws/issues")
        for home in "", "https://example.com/fapws":
            with with_home(home):
                text = wheel.description((wheel.ROOT / "README.md").read_text("utf-8"), "0.1.0")
            self.assertEqual(RELATIVE.findall(re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)), [])

    def test_sdist(self):
        """The source distribution can build itself again, with the same version."""
        with tempfile.TemporaryDirectory() as folder:
            first, names = sdist(wheel.ROOT, os.path.join(folder, "1"))
            for file in "PKG-INFO", "build.sh", "go.mod", "scripts/wheel.py", "contrib/fapws/base.py":
                self.assertIn(file, names)
            self.assertNotIn("contrib/fapws/libfapws.so", names)
            second, again = sdist(first, os.path.join(folder, "2"))
            self.assertEqual((os.path.basename(second), again), (os.path.basename(first), names))

    def test_launcher(self):
        """The command of a wheel starts the interpreter of fapws4, or fapws4 itself if there is no library."""
        with tempfile.TemporaryDirectory() as top:
            prefix = os.path.join(top, "a b")
            command, other = os.path.join(prefix, "bin", "fapws"), os.path.join(prefix, "bin", "fapws4")
            python, link = os.path.join(prefix, "bin", "python"), os.path.join(top, "link")
            library = os.path.join(prefix, "lib", "python3.14t", "site-packages", "fapws", "libfapws.so")
            os.makedirs(os.path.dirname(command))
            os.makedirs(os.path.dirname(library))
            wheel.write_launcher(command, "cp314-cp314t")
            os.symlink(command, link)
            write_program(python, "readlink /proc/$$/fd/9; echo $_FAPWS_LIBRARY, $_FAPWS_INTERPRETER, $LD_PRELOAD, $*")
            write_program(other, "\'\'\'exec\' \"%s\" \"$0\" \"$@\"\n\' \'\'\'" % python)
            shells = [shell for shell in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]
            for start in [[command], [link], *([*shell, command] for shell in shells)]:
                want = ", , , %s -x 1 2\n" % other
                self.assertEqual(said(start), want)
                with open(library, "wb"):
                    pass
                want = "%s\n9:%s, %s, /proc/self/fd/9:x.so, -m fapws -x 1 2\n" % (library, library, python)
                self.assertEqual(said(start, LD_PRELOAD="x.so"), want)
                os.remove(library)

    def test_sbom(self):
        built = {"GoVersion": "go1.26.10", "Deps": [
            {"Path": "example.com/a", "Version": "v2.9.1"},
            {"Path": "example.com/b", "Version": "v1.0.0", "Replace": {"Path": "example.com/c", "Version": "v1.0.1"}}]}
        for linked, want in ("none", []), ("static", ["pkg:generic/python@3.11.2"]):
            written = subprocess.run(
                [sys.executable, str(wheel.ROOT / "scripts" / "sbom.py"), "0.1.0", "3.11.2", linked, "86400"],
                input=json.dumps(built), stdout=subprocess.PIPE, universal_newlines=True, check=True,
            )
            bom = json.loads(written.stdout)
            parts = ["std@1.26.10", "example.com/a@v2.9.1", "example.com/c@v1.0.1"]
            self.assertEqual([c["purl"] for c in bom["components"]], ["pkg:golang/" + part for part in parts] + want)
            self.assertEqual(bom["metadata"]["timestamp"], "1970-01-02T00:00:00Z")


if __name__ == "__main__":
    unittest.main()
