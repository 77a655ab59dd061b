"""Returns a response with a Content-Length. The iterable's close() returns at once for the first hundred requests, and
waits for all later requests."""
import threading

go_on = threading.Event()


class Answer:
    def __init__(self, patient):
        self.left, self.patient = [b"answer"], patient

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop()

    def close(self):
        if self.patient:
            go_on.wait(120)


def answer(environ, start_response):
    start_response("200 OK", [("Content-Length", "6")])
    return Answer(environ["QUERY_STRING"] == "waits")


def release(environ, start_response):
    go_on.set()
    return "released"


PATHS = [("/answer", answer), ("/release", release)]
