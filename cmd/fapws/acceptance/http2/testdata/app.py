import hashlib
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def show(environ, start_response):
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("X-A", "b"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")]
    )
    return [json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()]


def digest(environ, start_response):
    data = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [("%d %s" % (len(data), hashlib.sha256(data).hexdigest())).encode()]


def large(environ, start_response):
    n = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(n))])
    return [(b"0123456789" * (n // 10 + 1))[:n]]


def pieces(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for i in range(int(environ["QUERY_STRING"])):
        yield b"piece %d\n" % i


def early(environ, start_response):
    start_response("403 Forbidden", [])
    return [b"no"]


def empty(environ, start_response):
    start_response(environ["QUERY_STRING"].replace("+", " "), [])
    return []


def short(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return [b"12345"]


def fails(environ, start_response):
    raise ValueError("on purpose")


calls = 0


def counted(environ, start_response):
    global calls
    calls += 1
    start_response("200 OK", [("Cache-Control", "max-age=600"), ("Content-Type", "text/plain")])
    return [b"call %d" % calls]


def sends(environ, start_response):
    start_response("200 OK", [("X-Sendfile", environ["QUERY_STRING"])])
    return []


PATHS = [
    ("/counted", counted), ("/sends", sends), ("/show", show), ("/digest", digest), ("/large", large),
    ("/pieces", pieces), ("/early", early), ("/empty", empty), ("/short", short), ("/fails", fails),
]
