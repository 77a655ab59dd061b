"""The application of samples/whole/fapws.toml, for requests that match no file or route."""

from datetime import datetime, timezone


def feed(environ, start_response):
    """Returns a page that fapws caches for a minute, because its route in fapws.toml says so."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return f"made at {datetime.now(timezone.utc):%H:%M:%S.%f}\n"


def page(environ, start_response):
    if environ["PATH_INFO"] != "/new/":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return "no such page\n"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return "a page of the blog\n"


PATHS = [("/feed", feed), ("/", page)]
