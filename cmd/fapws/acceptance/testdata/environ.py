"""Returns the environ of a request. The script does not import the classes of package fapws."""
import json


def show(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {k: v if isinstance(v, (str, bool, int, tuple)) else type(v).__name__ for k, v in environ.items()}
    seen["type"] = type(environ).__module__ + "." + type(environ).__name__
    seen["body"] = body.decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return json.dumps(seen)


PATHS = [("/show", show)]
