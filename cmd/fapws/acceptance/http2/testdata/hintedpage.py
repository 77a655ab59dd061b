"""Returns a page only after the browser has requested the page's style sheet. At this time, the browser knows the style
sheet only from an early hint. Browsers may ignore early hints, so the page reloads itself until the browser follows a
hint."""
import threading

PAGE = """<!doctype html><title>page</title><link rel="stylesheet" href="/a.css?{0}"><p id="how">early</p><script>
addEventListener("load", () => {{
  const style = performance.getEntriesByType("resource").find(entry => entry.name.includes("/a.css"));
  if (style && style.initiatorType == "early-hints" && {1})
    document.getElementById("how").textContent = style.initiatorType;
  else
    location.replace("/?" + ({0} + 1));
}});</script>"""
requested = {}


def page(environ, start_response):
    number = int(environ["QUERY_STRING"] or 0)
    event = requested.setdefault(str(number), threading.Event())
    environ["wsgi.early_hints"]([("Link", "</a.css?%d>; rel=preload; as=style" % number)])
    early = event.wait(3)
    start_response("200 OK", [("Content-Type", "text/html")])
    return [PAGE.format(number, "true" if early else "false").encode()]


def style(environ, start_response):
    requested[environ["QUERY_STRING"]].set()
    start_response("200 OK", [("Content-Type", "text/css"), ("Cache-Control", "max-age=60")])
    return [b"p { color: green }"]


PATHS = [("/a.css", style), ("/", page)]
