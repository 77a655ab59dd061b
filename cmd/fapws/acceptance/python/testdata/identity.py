"""Returns what the script knows about itself, such as __file__. The test compares this with a run by python3."""
import json
import os
import sys

seen = {
    "name": __name__,
    "file": os.path.join(os.getcwd(), __file__),  # The name is relative before Python 3.9.
    "argv": sys.argv,
    "path0": sys.path[0],
    "main": sys.modules["__main__"].__dict__ is globals(),
    "doc": __doc__,
    "package": __package__,
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "path": [p for p in sys.path if "contrib" not in p],
    "flags": list(sys.flags)[:9],
    "encoding": sys.stdout.encoding,
    "orig": isinstance(sys.executable, str),
}
if len(sys.argv) > 1 and sys.argv[-1] == "print":
    print(json.dumps(seen))
PATHS = [("/", lambda environ, start_response: seen)]
