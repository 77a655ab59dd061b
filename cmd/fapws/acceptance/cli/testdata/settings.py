"""Has settings."""
from fapws.base import Environ  # noqa: F401

SERVER = "127.0.0.1:0"
THREADS = 3
MAX_BODY_SIZE = 100
KEEP_ALIVE = "150ms"
LIMIT_REQUEST_LINE = 100
lowercase = "is no setting"
OTHER = object()


def fails(environ, start_response):
    raise ValueError("for the log")


PATHS = [("/fails", fails), ("/", lambda environ, start_response: "%d bytes" % len(environ["wsgi.input"].read()))]
