"""Channels c00 to c99, and a handler that publishes its body on the channel of its query string."""
from fapws import channel, publish

CHANNEL_SUBSCRIBERS_PER_ADDRESS = 1000000


def post(environ, start_response):
    publish(environ["QUERY_STRING"], environ["wsgi.input"].read())
    start_response("204 No Content", [])
    return []


PATHS = [("/publish", post)] + [(f"/c{i:02}", channel(f"c{i:02}")) for i in range(100)]
