"""The names of package fapws and of Fapws4 are the same objects."""
import fapws.base
import fapws.contrib.headers
import fapws.contrib.views
import fapws4.base
import fapws4.contrib.headers
import fapws4.contrib.views
from fapws4.contrib import headers, views
from fapws.contrib.headers import redirect

assert fapws.base.Environ is fapws4.base.Environ
assert fapws.base.Start_response is fapws4.base.Start_response
assert fapws.contrib.views.Staticfile is fapws4.contrib.views.Staticfile is views.Staticfile
assert fapws.contrib.headers.redirect is fapws4.contrib.headers.redirect is headers.redirect


def built_in(environ, start_response):
    """This script does not import Environ and Start_response. Therefore, environ is a plain dict, but start_response
    has the methods of Start_response."""
    start_response.set_cookie("c", "v")
    start_response("200 OK", [])
    return repr(type(environ))


PATHS = [
    ("/built-in", built_in),
    ("/301", lambda e, s: redirect(s, "/x", permanent=True)),
    ("/302", lambda e, s: redirect(s, "/x")),
    ("/303", lambda e, s: redirect(s, "/x", status=303)),
    ("/307", lambda e, s: redirect(s, "/x", status=307)),
    ("/308", lambda e, s: redirect(s, "/x", status=308)),
]
