"""Sends files, with or without Content-Length. The Content-Length is the size that the file reports."""
import os


def file(environ, start_response):
    return open(environ["QUERY_STRING"], "rb")


def stat(environ, start_response):
    name = environ["QUERY_STRING"]
    start_response("200 OK", [("Content-Length", str(os.path.getsize(name)))])
    return open(name, "rb")


def wrapped(environ, start_response):
    opened = open(environ["QUERY_STRING"], "rb")
    start_response("200 OK", [("Content-Length", str(os.fstat(opened.fileno()).st_size))])
    return environ["wsgi.file_wrapper"](opened)


PATHS = [("/file", file), ("/stat", stat), ("/wrapped", wrapped)]


async def application(scope, receive, send):
    """Sends a file as FileResponse of Starlette does."""
    name = scope["query_string"].decode()
    length = str(os.stat(name).st_size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.pathsend", "path": name})
