"""Tests of wheel.py: cd scripts && python3 -m unittest wheel_test"""

import filecmp
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
from unittest import mock

import wheel

README = """# fapws

[Text](docs/a.md#part), [elsewhere](https://example.com/), [below](#start), [![picture](docs/p.png)](docs/b.md)
<a href="docs/c.md"><picture><source srcset="docs/dark.svg"><img src="docs/light.svg"></picture></a>

```python
routes[0](docs)
```
"""


def with_home(url):
    return mock.patch.dict(os.environ, {"FAPWS_HOME_URL": url})


class Test(unittest.TestCase):
    def test_description(self):
        with with_home("https://example.com/fapws/"):
            text = wheel.description(README, "0.1.0")
            self.assertIn("(https://example.com/fapws/blob/v0.1.0/docs/a.md#part), [elsewhere](https://example.com/), [below](#start)", text)
            self.assertIn("(https://example.com/fapws/raw/v0.1.0/docs/p.png)](https://example.com/fapws/blob/v0.1.0/docs/b.md)", text)
            self.assertIn('docs/c.md"><img src="https://example.com/fapws/raw/v0.1.0/docs/light.svg"></a>', text)
            self.assertIn("\nroutes[0](docs)\n", text)
            self.assertIn("/blob/0123456789/docs/a.md", wheel.description(README, "0.1.0+0123456789.dirty"))

    def test_description_without_home(self):
        with with_home(""):
            text = wheel.description(README, "0.1.0")
        self.assertIn("Text, [elsewhere](https://example.com/), [below](#start), \n\n\n```python\nroutes[0](docs)\n", text)

    def test_urls(self):
        with with_home("https://example.com/fapws"):
            self.assertIn("\nProject-URL: Changelog, https://example.com/fapws/blob/v0.1.0/CHANGELOG.md\n", wheel.metadata("0.1.0"))
        with with_home(""):
            self.assertNotIn("Project-URL", wheel.metadata("0.1.0"))

    def test_metadata_without_compiling(self):
        with tempfile.TemporaryDirectory() as folder:
            info = wheel.prepare_metadata_for_build_wheel(folder)
            with open(os.path.join(folder, info, "METADATA"), encoding="utf-8") as f:
                text = f.read()
            with open(os.path.join(folder, info, "entry_points.txt"), encoding="utf-8") as f:
                self.assertIn("fapws = fapws.__main__:main\n", f.read())
        version = info[len("fapws-") : -len(".dist-info")]
        self.assertEqual(version.partition("+")[0], wheel.project_version())
        self.assertEqual(text, wheel.metadata(version))

    def test_readme_elsewhere(self):
        """The real README.md has no link that only its repository could follow."""
        for url in "", "https://example.com/fapws":
            with with_home(url):
                prose = re.sub(r"^```.*?^```$", "", wheel.metadata("0.1.0"), flags=re.M | re.S)
            self.assertEqual(re.findall(r"(?:\]\(|(?:href|src)=\")(?!https?:|mailto:|#)[^)\"]*", prose), [])

    def test_source_of_itself(self):
        """An unpacked sdist makes the same sdist again, without a repository."""
        if not os.path.exists(os.path.join(wheel.ROOT, ".git")):
            self.skipTest("this source is an sdist itself")
        with tempfile.TemporaryDirectory() as folder:
            name = wheel.build_sdist(folder)
            first = os.path.join(folder, name)
            with tarfile.open(first) as archive:
                archive.extractall(folder)
            again = os.path.join(folder, "again")
            os.mkdir(again)
            program = "import wheel; wheel.build_sdist(%r)" % again
            scripts = os.path.join(folder, name[: -len(".tar.gz")], "scripts")
            subprocess.run([sys.executable, "-c", program], cwd=scripts, check=True)
            self.assertTrue(filecmp.cmp(first, os.path.join(again, name), shallow=False), "the sdist of an unpacked sdist differs")


if __name__ == "__main__":
    unittest.main()
