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


def own(environ, start_response):
    start_response(
        "200 OK", [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine"), ("Content-Type", "text/plain")]
    )
    return "own"


def code(environ, start_response):
    start_response(environ["QUERY_STRING"] + " Said", [("X-Kept", "1")])
    return ["body"]


PATHS = [
    ("/value", value), ("/name", name), ("/status", status), ("/added", added), ("/cookie", cookie),
    ("/own", own), ("/code", code),
    ("/none", lambda e, s: s("", []) or "b"),
    ("/", lambda e, s: "plain"),
]
