"""Imports Environ and Start_response by their original names, and subclasses one of them."""
from fapws4.base import Environ, Start_response as Base


class Start_response(Base):
    def no_store(self):
        self.add_header("Cache-Control", "no-store")


def show(environ, start_response):
    environ["wsgi.input"].read(3)  # Reading the input must not affect fapws.params.
    start_response.no_store()
    start_response("200 OK", [("X-Given", "1")])
    return {
        "params": environ["fapws.params"],
        "again": environ["wsgi.input"].read().decode(),
        "uri": environ["fapws.uri"],
        "raw_path": environ["fapws.raw_path"],
        "remote_addr": environ["fapws.remote_addr"],
        "environ": type(environ) is Environ and isinstance(environ, dict),
        "start_response": type(start_response) is Start_response,
        "missing": environ.get("fapws.nothing", "none"),
    }


def cookies(environ, start_response):
    start_response.set_cookie("plain", "a b;c")
    start_response.set_cookie(
        "all", "v", max_age=60, path="/p", domain="example.org", secure=True, httponly=True, samesite="Lax"
    )
    start_response.set_cookie("dated", "v", expires=0)
    start_response.delete_cookie("old")
    start_response.status_code = 202
    start_response.add_header("X-Late", "yes")
    return repr((start_response.status_code, start_response.response_headers[-1]))


PATHS = [("/show", show), ("/cookies", cookies)]
