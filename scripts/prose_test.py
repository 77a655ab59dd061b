"""Tests of prose.py: cd scripts && python3 -m unittest prose_test"""

import pathlib
import subprocess
import sys
import tempfile
import unittest


class TestProse(unittest.TestCase):
    def check(self, files, words=""):
        """Returns the output of prose.py for a repository with these files."""
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**files, "scripts/words.txt": words}.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            program = pathlib.Path(__file__).with_name("prose.py")
            ran = subprocess.run([sys.executable, program, root], capture_output=True, text=True)
            self.assertEqual((ran.returncode, ran.stderr), (1 if ran.stdout else 0, ""))
            return ran.stdout

    def test_pages(self):
        for text, want in [
            ("One line.\nA mispelling.\n", "page.md:2: mispelling\n"),
            ("```sh\nmispelling\n```\nIt is `mispelling`, [here](mispelling.md), mispelling.py, --mispelling.\n", ""),
            ("the the\n", "page.md:1: the the\n"),
            ("It is a apple, an orange, and a user.\n", "page.md:1: a apple: an\n"),
            ("Requests in flight.\n", "page.md:1: in flight: write active\n"),
        ]:
            self.assertEqual(self.check({"page.md": text}), want, text)

    def test_programs(self):
        self.assertEqual(self.check({"cmd/a.go": 'package a // mispelling of a comment\n\nvar x = "cannot be mispelling %s"\n'}), "cmd/a.go:3: mispelling\n")
        self.assertEqual(self.check({"contrib/fapws/a.py": '"""One\n\nmispelling"""\nx = "mispelling of code"\n'}), "contrib/fapws/a.py:3: mispelling\n")

    def test_build(self):
        self.assertEqual(self.check({"build/roots/a.md": "mispelling\n", "page.md": "One line.\n"}), "")

    def test_names(self):
        page = {"page.md": "Neither gnet nor zstd.\n"}
        self.assertEqual(self.check(page, "gnet\nzstd\nzzz\n"), "scripts/words.txt: zzz is not in use\n")
        self.assertEqual(self.check({**page, "cmd/a.go": 'package a\n\nimport "gnet"\n', "b.md": "An XyLib. See `zstd`.\n"}), "")
