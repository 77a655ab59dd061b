"""Applications from the tests of other servers: see start_response_test.go."""
TEXT = ("Content-Type", "text/plain")
reused = [TEXT, ("X-Count", "0")]


class Name(str):
    """A subclass of str, like the classes that frameworks use for strings that need no HTML escaping."""


def fields(environ, start_response):
    start_response(Name("200 Very Well"), [
        (Name("content-TYPE"), Name("text/plain")),
        ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"),
        ("X-Empty", ""), ("X-Latin", "caf\xe9"), ("X-Long", "l" * 60000), ("X-Tab", "a\tb"),
    ] + [("X-%d" % i, str(i)) for i in range(100)])
    return (Name("").encode(), b"ok")


def same_list(environ, start_response):
    reused[1] = ("X-Count", str(int(reused[1][1]) + 1))
    start_response("200 OK", reused)
    return [reused[1][1].encode()]


PATHS = [("/" + handler.__name__, handler) for handler in (fields, same_list)]
