"""The frame of all pages, and their forms."""
import os
from html import escape

from fapws import HTTPError

PAGES = {"Dashboard": "./", "Services": "services", "Logs": "logs", "Settings": "settings", "Terminal": "terminal", "Reboot": "reboot"}
FRAME = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – {host}</title><link rel="icon" href="www/icon.svg"><link rel="stylesheet" href="www/console.css">
<header><b>{host}</b><nav aria-label="Pages">{links}</nav></header>
<main><h1>{title}</h1>{body}</main></html>
"""

def page(title):
    """Decorator for a handler that returns the body of a page. An HTTPError becomes a message on the page."""
    def decorate(handler):
        def answer(environ, start_response):
            try:
                body = handler(environ, start_response)
            except HTTPError as error:
                if error.status < 400:
                    raise  # a redirect
                start_response(f"{error.status} {error.reason}", [])
                body = f'<p class="bad" role="alert">{escape(error.text)}</p><p><a href="{PAGES[title]}">Back</a></p>'
            links = "".join(f'<a href="{path}"{" aria-current=page" * (name == title)}>{name}</a> ' for name, path in PAGES.items())
            return FRAME.format(title=title, host=escape(os.uname().nodename), links=links, body=body)
        return answer
    return decorate

def posted(environ):
    if environ["REQUEST_METHOD"] == "POST" and environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        raise HTTPError(403, "The form is on a page of another site.")
    return environ["REQUEST_METHOD"] == "POST"

def parameter(environ, name, default=""):
    return environ["fapws.params"].get(name, [default])[0].strip()
