"""A static site, served without Python.

./build.sh run samples/static/static.py      then open http://127.0.0.1:8888/
"""
import os

from fapws.contrib.views import Staticfile

# next to this script; a relative path would start at the working directory
HERE = os.path.dirname(os.path.abspath(__file__))

PATHS = [
    # a directory listing instead of an index page
    ("/files", Staticfile(os.path.join(HERE, "files"), index=None, listing=True)),
    # browsers may cache these for an hour; clients that accept gzip get story.txt.gz instead of story.txt
    ("/", Staticfile(os.path.join(HERE, "site"), max_age=3600)),
]
