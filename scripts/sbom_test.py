import unittest

import sbom

TEXT = """build/fapws: go1.26.10
\tpath\tfapws/cmd/fapws
\tmod\tfapws\t(devel)\t
\tdep\tgithub.com/panjf2000/gnet/v2\tv2.9.1\th1:x=
\tdep\texample.com/replaced\tv1.0.0
\t=>\texample.com/other\tv1.0.1\th1:y=
\tbuild\tGOARCH=amd64
"""


class Test(unittest.TestCase):
    def test_modules(self):
        self.assertEqual(list(sbom.components(TEXT.splitlines())), [
            ("std", "1.26.10"), ("github.com/panjf2000/gnet/v2", "v2.9.1"),
            ("example.com/replaced", "v1.0.0"), ("example.com/other", "v1.0.1")])

    def test_bom(self):
        b = sbom.bom(TEXT.splitlines(), "0.1.0", "3.11.2", "static", "86400")
        self.assertEqual(b["metadata"]["timestamp"], "1970-01-02T00:00:00Z")
        self.assertEqual(b["components"][-1]["purl"], "pkg:generic/python@3.11.2")
        wheel = sbom.bom(TEXT.splitlines(), "0.1.0", "3.11.2", "none", "86400")
        self.assertEqual(wheel["components"], b["components"][:-1])
        self.assertEqual(len(b["dependencies"][0]["dependsOn"]), len(b["components"]))


if __name__ == "__main__":
    unittest.main()
