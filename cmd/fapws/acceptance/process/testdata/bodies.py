"""Sends bodies whose ends the server does not know while clients disconnect."""
import time


class Body:
    def __init__(self, pieces, disconnected):
        self.pieces, self.disconnected = pieces, disconnected

    def __iter__(self):
        return iter(self.pieces)

    def close(self):
        while not self.disconnected():
            time.sleep(0.01)


def application(environ, start_response):
    bodies = {"/sized": (5, 5), "/large": (1 << 24, 1 << 24), "/short": (5, 6), "/chunked": (5, 0)}
    size, length = bodies[environ["PATH_INFO"]]
    start_response("200 OK", [("Content-Length", str(length))] * (length > 0))
    return Body([b"x" * size], environ["fapws.disconnected"])
