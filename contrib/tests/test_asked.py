import os
import tempfile
import unittest

from fapws import _asked, _environ


class Asked(unittest.TestCase):
    def test_keys_are_those_of_environ(self) -> None:
        self.assertEqual(set(_asked.KEYS), {key.encode() for key in _environ._COMPUTED})

    def test_text_tells(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for text, asked in (
                ('environ["fapws.params"]', True), ("environ.get('fapws.uri')", True),
                ('environ["fapws.disconnected"]', False), ("", False),
            ):
                path = os.path.join(folder, "script.py")
                with open(path, "w") as script:
                    script.write(text)
                self.assertEqual(_asked.environ_for({"__file__": path}) is not None, asked, text)

    def test_without_a_file(self) -> None:
        self.assertIsNone(_asked.environ_for({}))
        self.assertIsNone(_asked.environ_for({"__file__": "/nothing/there.py"}))


if __name__ == "__main__":
    unittest.main()
