"""Tests of wheel.py: cd scripts && python3 -m unittest wheel_test"""

import os
import re
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

    def test_urls(self):
        with with_home("https://example.com/fapws"):
            self.assertIn("\nProject-URL: Changelog, https://example.com/fapws/blob/v0.1.0/CHANGELOG.md\n", wheel.metadata("0.1.0"))
        with with_home(""):
            self.assertNotIn("Project-URL", wheel.metadata("0.1.0"))

    def test_readme_elsewhere(self):
        """The real README.md has no link that only its repository could follow."""
        with with_home("https://example.com/fapws"):
            prose = re.sub(r"^```.*?^```$", "", wheel.metadata("0.1.0"), flags=re.M | re.S)
        self.assertEqual(re.findall(r"(?:\]\(|(?:href|src)=\")(?!https?:|mailto:|#)[^)\"]*", prose), [])

    def test_source(self):
        with tempfile.TemporaryDirectory() as folder:
            name = wheel.build_sdist(folder)
            with tarfile.open(os.path.join(folder, name)) as archive:
                names = archive.getnames()
        self.assertIn(name[: -len(".tar.gz")] + "/PKG-INFO", names)
        self.assertIn(name[: -len(".tar.gz")] + "/build.sh", names)


if __name__ == "__main__":
    unittest.main()
