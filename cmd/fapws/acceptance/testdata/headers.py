"""Heads that must not reach the wire, and bodies that are not what they were announced as."""

BAD = {
    "cr": "a\rX-Injected: 1",
    "lf": "a\nX-Injected: 1",
    "crlf": "a\r\nX-Injected: 1\r\n\r\nbody",
    "nul": "a\0X-Injected: 1",
}


def value(environ, start_response):
    start_response("200 OK", [("X-Given", BAD[environ["QUERY_STRING"]])])
    return "body"


def name(environ, start_response):
    start_response("200 OK", [("X-" + BAD[environ["QUERY_STRING"]], "v")])
    return "body"


def status(environ, start_response):
    start_response("200 " + BAD[environ["QUERY_STRING"]], [])
    return "body"


def added(environ, start_response):
    start_response.add_header("X-Given", BAD[environ["QUERY_STRING"]])
    return "body"


def cookie(environ, start_response):
    start_response.set_cookie("c", "v", path=BAD[environ["QUERY_STRING"]])
    return "body"


def announced(environ, start_response):
    """?length=N&size=M&how=bytes|list|generator|file"""
    q = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    start_response("200 OK", [("Content-Length", q["length"]), ("Content-Type", "text/plain")])
    body = b"0123456789" * 10000
    body = body[: int(q["size"])]
    if q["how"] == "bytes":
        return body
    if q["how"] == "list":
        return [body[:3], body[3:]]
    if q["how"] == "file":
        import tempfile

        f = tempfile.TemporaryFile()
        f.write(body)
        f.seek(0)
        return f
    return (body[i : i + 1000] for i in range(0, len(body), 1000))


def own(environ, start_response):
    start_response("200 OK", [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine"), ("Content-Type", "text/plain")])
    return "own"


def code(environ, start_response):
    start_response(environ["QUERY_STRING"] + " Said", [("X-Kept", "1")])
    return ["body"]


def hop_by_hop(environ, start_response):
    """PEP 3333 leaves these to the server."""
    start_response("200 OK", [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("Upgrade", "x"), ("X-Kept", "1")])
    return "body"


PATHS = [
    ("/hop-by-hop", hop_by_hop),
    ("/value", value), ("/name", name), ("/status", status), ("/added", added), ("/cookie", cookie),
    ("/announced", announced), ("/own", own), ("/code", code),
    ("/none", lambda e, s: s("", []) or "b"),
    ("/", lambda e, s: "plain"),
]
