"""An entry for subscribers to a channel, a handler that publishes an event, and a plain page."""
from fapws import channel, publish

CHANNEL_SUBSCRIBERS_PER_ADDRESS = 1000000


def post(environ, start_response):
    publish("news", "x" * 64)
    start_response("204 No Content", [])
    return []


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return "Hello world!!"


PATHS = [("/news", channel("news")), ("/post", post), ("/hello", hello)]
