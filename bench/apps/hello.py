"""The smallest application: what memory and start-up are measured with."""

TEXT = [("Content-Type", "text/plain"), ("Content-Length", "13")]


def application(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"Hello world!!"]


PATHS = [("/hello", application)]
