"""Runs the tests of Starlette against fapws, over HTTP.

    fapws --bind 127.0.0.1:0 --forwarded-allow-ips 127.0.0.1 served.py:app TESTS [ARGUMENT OF PYTEST]...

TESTS is the folder of Starlette's own tests, in the version of the installed package (Debian: python3-starlette,
python3-httpx, python3-pytest, python3-multipart). pytest runs on a thread of the server. Starlette's test client calls
the application of a test directly. Here, it sends an HTTP request to this server, and the server calls the application
of the test. For WebSockets, the test client still calls the application. The process ends by itself.
"""
import os
import signal
import sys
import threading
import time

PATIENCE = 10.0  # timeout in seconds


class Served:
    """The application of the running test, and how its last request ended."""

    app = None
    root_path = ""
    state = {}
    error = None
    done = threading.Event()


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    served = Served.app
    if Served.root_path:
        scope["root_path"] = Served.root_path
    scope["state"].update(Served.state)
    try:
        await served(scope, receive, send)
    except BaseException as error:
        Served.error = error
        raise
    finally:
        Served.done.set()


async def lifespan(receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    threading.Thread(target=run, daemon=True).start()
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def run():
    import pytest

    tests, *args = sys.argv[1:]
    wait_until(listening)
    try:
        patch()
        options = ["-p", "no:cacheprovider", "-q", "--rootdir", os.path.dirname(os.path.abspath(tests))]
        code = pytest.main([tests, *options, *args])
        print(f"pytest ends with {int(code)}", flush=True)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def listening():
    """Returns the address on which this server listens, or None."""
    inodes = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    with open("/proc/net/tcp") as table:
        for line in table:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in inodes:
                return "127.0.0.1", int(columns[1].split(":")[1], 16)
    return None


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def patch():
    """Makes Starlette's test client send its requests to this server."""
    import httpx
    import starlette.testclient as testclient

    Original = testclient._TestClientTransport
    host, port = listening()

    class Transport(Original):
        def handle_request(self, request):
            if request.url.scheme in ("ws", "wss"):
                return super().handle_request(request)
            headers = request.headers.copy()
            if request.url.scheme == "https":
                headers["x-forwarded-proto"] = "https"
            content = request.read()
            if "transfer-encoding" in headers:
                del headers["transfer-encoding"]
                content = iter([content])
            wire = httpx.Request(
                request.method, request.url.copy_with(scheme="http", host=host, port=port), headers=headers,
                content=content,
            )
            Served.app, Served.root_path, Served.state, Served.error = self.app, self.root_path, self.app_state, None
            Served.done.clear()
            with httpx.HTTPTransport() as transport:
                try:
                    response = transport.handle_request(wire)
                    content = b"".join(response.stream)
                except httpx.TransportError:
                    if not Served.error:
                        raise
                    content, response = b"", None
            Served.done.wait(PATIENCE)
            if Served.error is not None and self.raise_server_exceptions:
                raise Served.error
            dropped = (b"date", b"server", b"transfer-encoding", b"connection")
            fields = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in dropped]
            return httpx.Response(
                response.status_code, headers=fields, stream=httpx.ByteStream(content), request=request
            )

    testclient._TestClientTransport = Transport
