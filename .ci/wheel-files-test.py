"""Tests what scripts/wheel.py and sbom.py write into files of a wheel; `./build.sh test` runs it."""

import json
import os
import re
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


def with_home(url):
    return mock.patch.dict(os.environ, {"FAPWS_HOME_URL": url})


class Test(unittest.TestCase):
    @with_home("https://example.com/fapws/")
    def test_description(self):
        text = wheel.description(README, "0.1.0")
        self.assertIn("(https://example.com/fapws/blob/v0.1.0/docs/a.md#part), [elsewhere](https://example.com/), [below](#start)", text)
        self.assertIn("(https://example.com/fapws/raw/v0.1.0/docs/p.png)](https://example.com/fapws/blob/v0.1.0/docs/b.md)", text)
        self.assertIn('docs/c.md"><img src="https://example.com/fapws/raw/v0.1.0/docs/light.svg"></a>', text)
        self.assertIn("\nroutes[0](docs)\n", text)
        self.assertIn("/blob/0123456789/docs/a.md", wheel.description(README, "0.1.0+0123456789.dirty"))

    def test_metadata(self):
        with with_home(""):
            self.assertNotIn("Project-URL", wheel.metadata("0.1.0"))
        with with_home("https://example.com/fapws"):
            text = wheel.metadata("0.1.0")
        self.assertIn("\nProject-URL: Changelog, https://example.com/fapws/blob/v0.1.0/CHANGELOG.md\n", text)
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
        self.assertEqual(re.findall(r"(?:\]\(|(?:href|src)=\")(?!https?:|mailto:|#)[^)\"]*", prose), [])

    def test_sdist(self):
        if not os.path.exists(wheel.ROOT / ".git"):
            self.skipTest("this source is an sdist itself")
        with tempfile.TemporaryDirectory() as folder:
            name = wheel.build_sdist(folder)
            with tarfile.open(os.path.join(folder, name)) as archive:
                names = archive.getnames()
        folder = name[: -len(".tar.gz")]
        for file in "PKG-INFO", "build.sh", "scripts/wheel.py", "contrib/fapws/base.py":
            self.assertIn(folder + "/" + file, names)

    def test_sbom(self):
        built = {"GoVersion": "go1.26.10", "Deps": [
            {"Path": "example.com/a", "Version": "v2.9.1"},
            {"Path": "example.com/b", "Version": "v1.0.0", "Replace": {"Path": "example.com/c", "Version": "v1.0.1"}}]}
        for linked, want in ("none", []), ("static", ["pkg:generic/python@3.11.2"]):
            written = subprocess.run([sys.executable, str(wheel.ROOT / "scripts" / "sbom.py"), "0.1.0", "3.11.2", linked, "86400"],
                                     input=json.dumps(built), stdout=subprocess.PIPE, universal_newlines=True, check=True)
            bom = json.loads(written.stdout)
            parts = ["std@1.26.10", "example.com/a@v2.9.1", "example.com/c@v1.0.1"]
            self.assertEqual([c["purl"] for c in bom["components"]], ["pkg:golang/" + part for part in parts] + want)
            self.assertEqual(bom["metadata"]["timestamp"], "1970-01-02T00:00:00Z")


if __name__ == "__main__":
    unittest.main()
