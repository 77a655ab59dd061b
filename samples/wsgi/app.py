"""Plain WSGI (PEP 3333), on which all WSGI frameworks are built.

./build.sh run samples/wsgi/app.py      then open http://127.0.0.1:8888/
"""
import hashlib
import time
from html import escape
from urllib.parse import parse_qs


def page(start_response, body, status="200 OK"):
    data = f"<!doctype html><meta charset=utf-8><title>WSGI</title>{body}".encode()
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(data)))])
    return [data]


def index(environ, start_response):
    # environ has the request: CGI variables, the header fields as HTTP_*, and the wsgi.* variables of the server
    rows = "".join(f"<tr><td>{escape(name)}<td>{escape(repr(value))}" for name, value in sorted(environ.items()))
    return page(
        start_response, f"<h1>environ</h1><p><a href=/count>count</a>, <a href=/source>source</a><table>{rows}</table>"
    )


def greet(environ, start_response):
    name = parse_qs(environ["QUERY_STRING"]).get("name", ["stranger"])[0]
    return page(start_response, f"<p>Hello {escape(name)}!")


def digest(environ, start_response):
    # wsgi.input is a file with the body. Reading ends at the end of the body
    # (wsgi.input_terminated), so a chunked body without Content-Length works, too.
    sha, size = hashlib.sha256(), 0
    for block in iter(lambda: environ["wsgi.input"].read(64 * 1024), b""):
        sha.update(block)
        size += len(block)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{size} {sha.hexdigest()}\n".encode()]


def count(environ, start_response):
    # Each chunk is sent immediately. When the client disconnects, the generator is closed: clean up in `finally`.
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        for number in range(1, 1001):
            yield b"%d\n" % number
            time.sleep(0.2)
    finally:
        print("counted to", number, flush=True)


def source(environ, start_response):
    # The server may send a real file without reading it into Python.
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def fails(environ, start_response):
    # The traceback is in the log; the client gets a 500 without any detail.
    raise RuntimeError("this handler always fails")


ROUTES = {"/": index, "/greet": greet, "/digest": digest, "/count": count, "/source": source, "/fails": fails}


def application(environ, start_response):
    handler = ROUTES.get(environ["PATH_INFO"])
    if handler is None:
        return page(start_response, "<h1>Not found</h1>", "404 Not Found")
    return handler(environ, start_response)
