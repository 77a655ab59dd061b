from fapws import WebSocket, broadcast, channel, publish, subscribers
from fapws.cache import cached, purge

made = 0


def send(environ, start_response):
    for line in environ["QUERY_STRING"].split(","):
        publish("news", line)
    return "sent"


def large(environ, start_response):
    publish("news", "x" * int(environ["QUERY_STRING"]))
    return "sent"


def shout(environ, start_response):
    broadcast(room, environ["QUERY_STRING"])
    return "sent"


def count(environ, start_response):
    return str(subscribers("news"))


def page(environ, start_response):
    global made
    made += 1
    return str(made)


def forget(environ, start_response):
    purge("/page")
    return "forgotten"


room = WebSocket()
PATHS = [
    ("/news", channel("news")), ("/send", send), ("/large", large), ("/room", room), ("/shout", shout),
    ("/page", cached(page, ttl=3600)), ("/forget", forget), ("/count", count),
]
