"""Measures the frameworks of this folder without a server: bare.py [SECONDS] prints the CPU time of a call of each
application.

Each call gets a new environ or scope, like that of a GET request from curl. The result is the smallest of five samples.
"""
import asyncio
import importlib
import io
import sys
import time

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
ENVIRON = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8888",
    "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8888",
    "HTTP_USER_AGENT": "curl/8.5.0", "HTTP_ACCEPT": "*/*", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
}
SCOPE = {
    "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
    "scheme": "http", "query_string": b"", "root_path": "", "client": ("127.0.0.1", 40000),
    "server": ("127.0.0.1", 8888),
}
FIELDS = [(b"host", b"127.0.0.1:8888"), (b"user-agent", b"curl/8.5.0"), (b"accept", b"*/*")]


def call_wsgi(application, path):
    status = []
    body = application(
        {**ENVIRON, "PATH_INFO": path, "wsgi.input": io.BytesIO()}, lambda s, h, e=None: status.append(s)
    )
    text = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return status[0], text


async def call_asgi(application, path):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await application(
        {**SCOPE, "path": path, "raw_path": path.encode(), "headers": list(FIELDS), "state": {}}, receive, send
    )
    return str(sent[0]["status"]), sent[1]["body"]


def sample(call):
    """CPU time of a call, in microseconds. call(n) makes n calls."""
    n, began, until = 0, time.process_time(), time.perf_counter() + seconds / 5
    while time.perf_counter() < until:
        call(20)
        n += 20
    return (time.process_time() - began) / n * 1e6


def measure(name, path, text):
    application = importlib.import_module(name).application
    loop = asyncio.new_event_loop()

    def wsgi(n):
        for _ in range(n):
            status, body = call_wsgi(application, path)
            assert status.startswith("200") and body == text, (status, body)

    async def asgi(n):
        for _ in range(n):
            status, body = await call_asgi(application, path)
            assert status == "200" and body == text, (status, body)

    call = wsgi if name.endswith("_hello") else lambda n: loop.run_until_complete(asgi(n))
    call(1)
    print("%-14s %6.1f µs" % (name, min(sample(call) for _ in range(5))))


for test in [
    ("flask_hello", "/hello", b"Hello world!!"), ("django_hello", "/hello", b"Hello world!!"),
    ("starlette_json", "/json", b'{"message":"Hello, World!"}'),
    ("fastapi_json", "/json", b'{"message":"Hello, World!"}'),
]:
    measure(*test)
