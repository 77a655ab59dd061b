import io
import json
import threading
import urllib.parse


def outcome(expression, stream):
    try:
        return repr(eval(expression, {"i": stream}))
    except Exception as error:
        return type(error).__name__


def compare(environ, start_response):
    """Evaluates the expression in the query with wsgi.input and with io.BytesIO, and returns the difference."""
    stream = environ["wsgi.input"]
    body = stream.getvalue()
    expression = urllib.parse.unquote(environ["QUERY_STRING"])
    got, want = outcome(expression, stream), outcome(expression, io.BytesIO(body))
    return "same" if got == want else "%s: %.300s, not %.300s" % (expression, got, want)


def about(environ, start_response):
    """Returns what the keys of environ say about the body, before it is read."""
    keys = ("CONTENT_LENGTH", "CONTENT_TYPE", "wsgi.input_terminated", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_LENGTH")
    return json.dumps({key: environ[key] for key in keys if key in environ})


def lines(environ, start_response):
    """Reads lines of the body. Returns their number, and whether they contain about all bytes of the body."""
    def bytes_read():
        with open("/proc/self/io") as counts:
            return int(counts.readline().split()[1])

    before, stream = bytes_read(), environ["wsgi.input"]
    return f"{sum(1 for line in stream)} {bytes_read() - before < 4 * int(environ['CONTENT_LENGTH'])}"


ends = []


def elsewhere(environ, start_response):
    """Starts a thread that continues to read the body after the handler has returned."""
    def read():
        try:
            while stream.read(65536):
                pass
            ends.append("end")
        except Exception as error:
            ends.append(repr(error))

    stream = environ["wsgi.input"]
    threading.Thread(target=read).start()
    return "returned"


def ended(environ, start_response):
    return " ".join(ends)


PATHS = [("/compare", compare), ("/about", about), ("/lines", lines), ("/elsewhere", elsewhere), ("/ended", ended)]
