"""A static site, served without Python.

./build.sh run samples/static/static.py      then open http://127.0.0.1:8888/
"""
import os

from fapws.contrib.views import Staticfile

# beside this script, wherever fapws is started; a relative path would be from there
HERE = os.path.dirname(os.path.abspath(__file__))

PATHS = [
    # a folder to pick from: a listing instead of an index page
    ("/files", Staticfile(os.path.join(HERE, "files"), index=None, listing=True)),
    # browsers may keep these for an hour; story.txt.gz is sent for story.txt to those that take gzip
    ("/", Staticfile(os.path.join(HERE, "site"), max_age=3600)),
]
