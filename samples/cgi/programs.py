"""A directory of CGI programs. Some of them require a password.

    fapws samples/cgi/programs.py
    curl http://localhost:8888/
    curl http://localhost:8888/cgi-bin/hello?name=world
    curl -u anna:secret http://localhost:8888/private/hello
"""
import os
from base64 import b64decode

from fapws.contrib.cgi import CGIApplication

here = os.path.dirname(os.path.abspath(__file__))
programs = CGIApplication(os.path.join(here, "cgi-bin"), timeout=10)


def private(environ, start_response):
    kind, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    try:
        allowed = kind == "Basic" and b64decode(value) == b"anna:secret"
    except ValueError:
        allowed = False
    if not allowed:
        start_response(
            "401 Unauthorized", [("WWW-Authenticate", 'Basic realm="private"'), ("Content-Type", "text/plain")]
        )
        return [b"who are you?\n"]
    return programs(environ, start_response)


def index(environ, start_response):
    return """<!doctype html><title>Programs</title>
<p><a href="/cgi-bin/hello?name=world">A program</a>,
and <a href="/private/hello">one behind a password</a> (anna, secret).
"""


PATHS = [
    ("/cgi-bin", programs),
    ("/private", private),
    ("/", index),
]
