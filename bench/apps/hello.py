"""The smallest application, for measurements of memory and startup."""

TEXT = [("Content-Type", "text/plain"), ("Content-Length", "13")]


def application(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"Hello world!!"]


PATHS = [("/hello", application)]
