"""A handler that fails, with a secret in its variables."""
import sys

DEBUG = int(sys.argv[1])
if "without page" in sys.argv:
    sys.modules["fapws._debugpage"] = None  # This makes the import of the module fail.


def fails(environ, start_response):
    token = "hush" + "-hush"
    return 1 / len(token[:0])


PATHS = [("/", fails)]
