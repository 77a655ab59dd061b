"""Hello world, as Fapws4 users write it.

./build.sh run samples/hello/hello.py      then open http://127.0.0.1:8888/hello
"""
# With these two names in the script, environ and start_response are instances
# of them; without, environ is a plain dict and everything else is the same.
from fapws4.base import Environ, Start_response


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return "Hello world!!"


# The first entry whose prefix matches handles the request; "/" handles everything else.
PATHS = [
    ("/hello", hello),
    ("/", hello),
]
