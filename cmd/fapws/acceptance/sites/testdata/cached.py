"""Pages for tests of the cache. Each call of a handler writes a line to the file CALLS."""
import os
import time
import urllib.parse

from fapws.cache import cached, purge

CALLS = os.environ["CALLS"]


def page(environ, start_response):
    """The response has the header fields in the query."""
    path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    with open(CALLS, "a") as calls:
        calls.write(f"{environ['REQUEST_METHOD']} {path}\n")
    with open(CALLS) as calls:
        n = len(calls.readlines())
    fields = urllib.parse.parse_qsl(environ["QUERY_STRING"])
    status = dict(fields).get("status", "200")
    start_response(status + " As told", [(name, value) for name, value in fields if name[0].isupper()])
    return [f"{os.getpid()} call {n} {environ.get('HTTP_ACCEPT_LANGUAGE', '')}".encode()]


def slow(environ, start_response):
    result = page(environ, start_response)
    while not os.path.exists(CALLS + ".go"):
        time.sleep(0.01)
    return result


def second(environ, start_response):
    """The first call returns at once. Later calls wait until the test creates a file."""
    global seen
    seen += 1
    return page(environ, start_response) if seen == 1 else slow(environ, start_response)


seen = 0


def sent(environ, start_response):
    """Waits like slow, then sends the file for which it has waited."""
    if not os.path.exists(CALLS + ".go"):
        return page(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Sendfile", CALLS + ".go")])
    return []


def large(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Fapws-Cache-Tags", "a, b, c, d")])
    return [b"0123456789abcdef" * 256]


def forget(environ, start_response):
    path, _, tag = urllib.parse.unquote(environ["QUERY_STRING"]).partition(" ")
    try:
        purge(path or None, tag=tag or None)
    except ValueError as wrong:
        return str(wrong)
    return "forgotten"


def child(environ, start_response):
    pid = os.fork()
    if pid == 0:
        try:
            purge("*")
        except RuntimeError:
            os._exit(7)
        os._exit(0)
    return str(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))


def pid(environ, start_response):
    return str(os.getpid())


PATHS = [
    ("/ttl", cached(page, ttl=60)),
    ("/short", cached(page, ttl=1, stale=60)),
    ("/vary", cached(page, ttl=60, vary=["X-Device"], query=False)),
    ("/anyone", cached(page, ttl=60, cookies="ignore", status=[200, 404])),
    ("/obeys", cached(page)),
    ("/second", cached(second, ttl=1, stale=60)),
    ("/sent", cached(sent, ttl=1, stale=60)),
    ("/slow", cached(slow, ttl=60)),
    ("/large", cached(large, ttl=60)),
    ("/plain", page),
    ("/forget", forget),
    ("/child", child),
    ("/pid", pid),
]
