"""An application that wsgiref.validate watches, as a middleware of the standard library."""
from wsgiref.validate import validator

bodies = []


def app(environ, start_response):
    kind = environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        bodies.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    if kind == "/204":
        start_response("204 No Content", [])
        return []
    if kind == "/304":
        start_response("304 Not Modified", [("ETag", '"x"')])
        return []
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if kind == "/write":
        write(b"written ")
    if kind == "/generator":
        return (b"part %d " % i for i in range(3))
    if kind == "/lines":
        return [line for line in environ["wsgi.input"]] or [b"none"]
    environ["wsgi.errors"].write("")
    environ["wsgi.errors"].flush()
    return [b"whole ", *bodies]


PATHS = [("/", validator(app))]
