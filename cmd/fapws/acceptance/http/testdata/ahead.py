"""Makes responses of 8 MiB in every way. /begun returns how many responses have begun."""
import itertools
import threading

begun = itertools.count()
said = 0
MEBIBYTES = 8


def begin():
    global said
    said = next(begun) + 1
    return b"%08d" % said + bytes((MEBIBYTES << 20) - 8)


def whole(environ, start_response):
    return begin()


def huge(environ, start_response):
    return bytes(80 << 20)


shared_body = bytes(MEBIBYTES << 20)


def shared(environ, start_response):
    return shared_body


def items(environ, start_response):
    return [begin()]


def generator(environ, start_response):
    body, thread = begin(), threading.get_ident()
    for i in range(MEBIBYTES):
        assert threading.get_ident() == thread  # The generator continues on its thread after a wait for the client.
        yield body[i << 20 : (i + 1) << 20]


letters_made = 0


def letters(environ, start_response):
    global letters_made
    for letters_made in range(1 << 19):
        yield b"x"


def kibibytes(environ, start_response):
    for _ in range(8 << 10):
        yield bytes(1 << 10)


async def handler(environ, start_response):
    return begin()


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": begin()})


def count_letters(environ, start_response):
    return str(letters_made)


def count(environ, start_response):
    return str(said)


async def acount(environ, start_response):
    return str(said)


PATHS = [
    ("/whole", whole), ("/huge", huge), ("/shared", shared), ("/items", items), ("/generator", generator),
    ("/letters", letters), ("/kibibytes", kibibytes), ("/made", count_letters), ("/handler", handler), ("/asgi", asgi),
    ("/begun", count), ("/async/begun", acount),
]
