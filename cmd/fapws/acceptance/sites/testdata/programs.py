"""Serves the programs in a directory, with and without a handler that checks requests."""
import sys

from fapws.contrib.cgi import CGIApplication

folder = sys.argv[1]
programs = CGIApplication(folder, interpreters={".sh": "sh"}, env={"MINE": "yes"})


timed = CGIApplication(folder, timeout=1)


def guarded(environ, start_response):
    if environ.get("HTTP_X_PASS") != "yes":
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no"]
    environ["wsgi.input"].read(10)  # The program gets the whole body, including these bytes.
    start_response.add_header("X-Guard", "seen")
    start_response.set_cookie("guard", "1")
    return (timed if "HTTP_X_TIMED" in environ else programs)(environ, start_response)


class Counting(CGIApplication):
    def __call__(self, environ, start_response):
        start_response.add_header("X-Counting", "1")
        return super().__call__(environ, start_response)


PATHS = [
    ("/cgi-bin", programs),
    ("/timed", timed),
    ("/one", CGIApplication(folder + "/env")),
    ("/guarded", guarded),
    ("/counting", Counting(folder)),
    ("/wrong", lambda environ, start_response: CGIApplication("/no/such/folder")(environ, start_response)),
]
