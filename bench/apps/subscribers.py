"""Subscribers to a channel, a page that publishes, and another page."""
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
