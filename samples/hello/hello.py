"""Hello world.

fapws hello.py      then open http://127.0.0.1:8888/?name=you
"""
from html import escape


def hello(environ, start_response):
    name = environ["fapws.params"].get("name", ["world"])[0]
    return f"Hello {escape(name)}!\n"  # a str is sent as HTML


# The first entry whose prefix matches handles the request; "/" matches every path.
PATHS = [("/", hello)]
