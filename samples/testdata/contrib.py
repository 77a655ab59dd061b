import os

from fapws.contrib.headers import redirect
from fapws.contrib.views import Staticfile

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "static", "site")

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
    ("/guarded", guarded),
    ("/subclass", Guarded(SITE)),
]
