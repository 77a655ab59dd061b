"""What events.py does, as an ASGI application with the channel layer of channels_redis."""
import os

from channels_redis.core import RedisChannelLayer

layer = RedisChannelLayer(hosts=[os.environ["BROKER"]], capacity=100_000)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/publish":
        body = (await receive())["body"]
        await layer.group_send(scope["query_string"].decode(), {"type": "event", "data": body})
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        return
    name = await layer.new_channel()
    await layer.group_add(scope["path"][1:], name)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"retry: 1000\n\n", "more_body": True})
    while True:
        event = await layer.receive(name)
        await send({"type": "http.response.body", "body": b"data: %s\n\n" % event["data"], "more_body": True})
