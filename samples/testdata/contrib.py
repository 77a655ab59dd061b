"""What package fapws does inside the executable; contrib_test.go asks."""
import os

import fapws4.base
from fapws.base import Environ as BaseEnviron
from fapws4.base import Start_response
from fapws.contrib.headers import redirect
from fapws.contrib.views import Staticfile

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "static", "site")


class Environ(BaseEnviron):
    max_params = 5


def environ_keys(environ, start_response):
    environ["wsgi.input"].read(3)  # must not affect fapws.params
    return {
        "class": type(environ).__name__,
        "fapws": isinstance(environ, fapws4.base.Environ),
        "params": environ["fapws.params"],
        "rest of the body": environ["wsgi.input"].read().decode(),
        "uri": environ["fapws.uri"],
        "raw_path": environ["fapws.raw_path"],
        "remote_addr": environ["fapws.remote_addr"],
    }


def start_methods(environ, start_response):
    assert isinstance(start_response, Start_response)
    start_response("201 Created", [("X-One", "1")])
    start_response.add_header("X-Two", "2")
    start_response.set_cookie("a", "b c", max_age=60, httponly=True, samesite="Lax")
    start_response.delete_cookie("old", path="/x")
    return {"status": start_response.status_code, "headers": start_response.response_headers}


def refused(environ, start_response):
    said = []
    for call in (
        lambda: start_response.set_cookie("a", "b\r\nX-Evil: 1"),
        lambda: start_response.set_cookie("a b"),
        lambda: start_response.set_cookie("a", samesite="None"),
        lambda: start_response.add_header("X", "1\r\nX-Evil: 1"),
        lambda: redirect(start_response, "/\r\nX-Evil: 1"),
    ):
        try:
            call()
        except ValueError:
            said.append("ValueError")
        else:
            said.append("no error")
    return {"said": said}


files = Staticfile(SITE)


def guarded(environ, start_response):
    if environ.get("HTTP_X_KEY") != "open":
        return redirect(start_response, "/login", status=303)
    start_response.add_header("Cache-Control", "private")
    return files(environ, start_response)


class Guarded(Staticfile):
    def __call__(self, environ, start_response):
        if environ.get("HTTP_X_KEY") != "open":
            start_response("403 Forbidden", [])
            return "no"
        return super().__call__(environ, start_response)


PATHS = [
    ("/environ", environ_keys),
    ("/start", start_methods),
    ("/refused", refused),
    ("/guarded", guarded),
    ("/subclass", Guarded(SITE)),
]
