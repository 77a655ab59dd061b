"""Sends early hints, then waits until the test creates the file "go" in the directory of the first argument."""
import asyncio
import os
import sys
import time

folder = sys.argv[1]
TEXT = [("Content-Type", "text/plain")]
STYLE = [
    ("Link", "</a.css>; rel=preload; as=style"), ("Set-Cookie", "a=b"), ("link", "</b.js>; rel=preload; as=script")]


def done():
    return os.path.exists(os.path.join(folder, "go"))


def waits(environ, start_response):
    assert environ["wsgi.early_hints"](STYLE) is None
    while not done():
        time.sleep(0.002)
    start_response("200 OK", TEXT)
    return [b"page"]


async def waits_async(environ, start_response):
    environ["wsgi.early_hints"](STYLE)
    while not done():
        await asyncio.sleep(0.002)
    return "page"


def many(environ, start_response):
    for i in range(100):
        environ["wsgi.early_hints"]([("Link", f"</{i}.css>")])
    start_response("200 OK", TEXT)
    return [b"page"]


def large(environ, start_response):
    for i in range(5):
        environ["wsgi.early_hints"]([("Link", f"</{i}.css?{'x' * 3000}>")])
    start_response("200 OK", TEXT)
    return [b"page"]


def late(environ, start_response):
    start_response("200 OK", TEXT)(b"pa")
    environ["wsgi.early_hints"](STYLE)
    return [b"ge"]


def wrong(environ, start_response):
    said = []
    for pairs in ([("Link", "</a>\r\nSet-Cookie: a=b")], [("Link", b"</a>")], [("Link",)], 7, [("Link", "</\u20ac>")]):
        try:
            environ["wsgi.early_hints"](pairs)
        except (TypeError, ValueError) as error:
            said.append(type(error).__name__)
    return " ".join(said)


async def asgi(scope, receive, send):
    async def hint(*links):
        await send({"type": "http.response.early_hint", "links": links})

    await hint(b"</a.css>; rel=preload; as=style")
    while scope["path"] == "/asgi/waits" and not done():
        await asyncio.sleep(0.002)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await hint(b"</b.js>; rel=preload; as=script")
    said = "early" if "http.response.early_hint" in scope["extensions"] else "plain"
    if scope["path"] == "/asgi/wrong":
        for links in ([b"</a>\nX: y"], ["</a>"], 7):
            try:
                await hint(*links) if isinstance(links, list) else await send(
                    {"type": "http.response.early_hint", "links": links})
            except (TypeError, ValueError) as error:
                said += " " + type(error).__name__
    await send({"type": "http.response.body", "body": said.encode(), "more_body": True})
    await hint(b"</late.js>")
    await send({"type": "http.response.body", "body": b" page"})


PATHS = [("/" + f.__name__, f) for f in (waits, waits_async, many, large, late, wrong)] + [("/asgi", asgi)]
