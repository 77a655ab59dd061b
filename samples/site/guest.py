"""The Python pages of the site; the files are in www.

/visits counts its requests; the home page includes it. /hello greets the name in the query.
"""

from html import escape
from itertools import count
from urllib.parse import parse_qs

visits = count(1)


def text(start_response, status, body, kind="text/html; charset=utf-8"):
    start_response(status, [("Content-Type", kind)])
    return [body.encode()]


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/visits":
        return text(start_response, "200 OK", str(next(visits)), "text/plain")
    if path == "/hello":
        name = parse_qs(environ["QUERY_STRING"]).get("name", ["you"])[0]
        return text(start_response, "200 OK", f"<p>Hello {escape(name)}!\n")
    return text(start_response, "404 Not Found", "<p>There is no such page. <a href=/>Home</a>\n")
