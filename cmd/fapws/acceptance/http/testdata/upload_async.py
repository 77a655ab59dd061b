import asyncio
import os

import fapws


async def received(environ, start_response):
    await asyncio.sleep(0)
    file = environ["fapws.upload"].file
    start_response("202 Accepted", [("X-Name", file.name), ("Content-Type", "text/plain")])
    return [f"{file.sha256} {environ['wsgi.input'].read()}".encode()]


async def application(scope, receive, send):
    file = scope["fapws.upload"].file
    body = (await receive())["body"]
    headers = [(b"x-name", file.name.encode()), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": f"{file.sha256} {body}".encode()})


os.makedirs("files", exist_ok=True)

PATHS = [("/async", fapws.upload("files", received)), ("/asgi", fapws.upload("files", application))]
