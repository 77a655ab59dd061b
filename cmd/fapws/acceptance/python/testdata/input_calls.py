"""Calls methods of wsgi.input and compares with io.BytesIO of the same bytes."""
import io
import json
import urllib.parse


def outcome(expression, stream):
    try:
        return repr(eval(expression, {"i": stream}))
    except Exception as error:
        return type(error).__name__


def compare(environ, start_response):
    """?expression, for each of them: what differs."""
    stream = environ["wsgi.input"]
    body = stream.getvalue()
    expression = urllib.parse.unquote(environ["QUERY_STRING"])
    got, want = outcome(expression, stream), outcome(expression, io.BytesIO(body))
    return "same" if got == want else "%s: %.300s, not %.300s" % (expression, got, want)


def about(environ, start_response):
    """What an application can know of the body before it reads."""
    keys = ("CONTENT_LENGTH", "CONTENT_TYPE", "wsgi.input_terminated", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_LENGTH")
    return json.dumps({key: environ[key] for key in keys if key in environ})


PATHS = [("/compare", compare), ("/about", about)]
