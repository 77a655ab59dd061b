"""Forms: text fields, and file uploads that can be downloaded again.

./build.sh run samples/forms/forms.py      then open http://127.0.0.1:8888/
"""
import hashlib
import os
import secrets
import tempfile
import threading
from html import escape
from urllib.parse import quote

from fapws.contrib import multipart
from fapws.contrib.headers import redirect

# limit of a request body in bytes; larger requests get 413 before they reach the handler
MAX_BODY_SIZE = 20 * 1024 * 1024

KEEP = 20  # maximum number of stored uploads
FOLDER = tempfile.TemporaryDirectory(prefix="fapws-forms-")  # removed at exit
UPLOADS = {}  # key: (name, size, sha256), the oldest first
LOCK = threading.Lock()  # handlers run in several threads

STYLE = """
:root{color-scheme:light dark;--line:#8884}
body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}
form{display:grid;gap:.6rem;padding:1rem;margin:1rem 0;border:1px solid var(--line);border-radius:8px}
input,button{font:inherit;padding:.4rem .6rem}button{justify-self:start}
td{padding:.2rem 1rem .2rem 0;overflow-wrap:anywhere;min-width:7rem}code{font-size:80%;color:gray}
"""


def page(title, body):
    # escape() all text from a client, to prevent scripts in names
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )


def index(environ, start_response):
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [])
        return page("Not found", "<p><a href=/>Forms</a>")
    with LOCK:
        uploads = list(UPLOADS.items())
    rows = "".join(
        f"<tr><td><a href='/files/{key}'>{escape(name)}</a><td>{size:,} bytes<td><code>{digest}</code>"
        for key, (name, size, digest) in reversed(uploads)
    )
    return page(
        "Forms",
        "<form action=/greet method=post><input name=name placeholder='Your name' required maxlength=80>"
        "<label><input type=checkbox name=like value=cats> cats</label>"
        "<label><input type=checkbox name=like value=dogs> dogs</label><button>Greet me</button></form>"
        "<form action=/upload method=post enctype=multipart/form-data><input type=file name=file multiple required>"
        f"<input name=note placeholder='A note'><button>Upload</button></form><table>{rows}</table>",
    )


def greet(environ, start_response):
    # Used for query and form: each name has a list of values, because it can be sent more than once.
    params = environ["fapws.params"]
    name = params.get("name", [""])[0].strip() or "stranger"
    likes = " and ".join(params.get("like", [])) or "nothing"
    return page("Forms", f"<p>Hello {escape(name)}, you like {escape(likes)}.<p><a href=/>Back</a>")


def upload(environ, start_response):
    if environ["REQUEST_METHOD"] != "POST":
        return redirect(start_response, "/")
    try:
        form = multipart.parse(environ)
    except ValueError as error:
        start_response("400 Bad Request", [])
        return page("Bad request", f"<p>{escape(str(error))}")
    with form:  # The with statement closes the temporary files of the form.
        for file in form.files.get("file", []):
            store(file)
    # After 303 See Other, a reload of the next page does not send the form again.
    return redirect(start_response, "/", status=303)


def store(file):
    # Use a new name on the disk, because the client's name may be "../../.bashrc".
    key = secrets.token_hex(8)
    digest = hashlib.sha256()
    with open(os.path.join(FOLDER.name, key), "wb") as out:
        for block in iter(lambda: file.file.read(64 * 1024), b""):
            digest.update(block)
            out.write(block)
    with LOCK:
        UPLOADS[key] = (file.filename or "unnamed", file.size, digest.hexdigest())
        while len(UPLOADS) > KEEP:
            oldest = next(iter(UPLOADS))
            del UPLOADS[oldest]
            os.unlink(os.path.join(FOLDER.name, oldest))


def download(environ, start_response):
    key = environ["PATH_INFO"].lstrip("/")
    with LOCK:
        # The key must be known, so it cannot be a path to another file.
        if key not in UPLOADS:
            start_response("404 Not Found", [])
            return page("Not found", "<p>It was here, or never was.")
        name = UPLOADS[key][0]
        saved = open(os.path.join(FOLDER.name, key), "rb")
    start_response(
        "200 OK",
        [
            ("Content-Type", "application/octet-stream"),
            # The browser must save an uploaded page, and not show it as a page of this site.
            ("Content-Disposition", "attachment; filename*=UTF-8''" + quote(name, safe="")),
            ("X-Content-Type-Options", "nosniff"),
        ],
    )
    return saved  # a real file is sent with sendfile, and then closed


PATHS = [
    ("/greet", greet),
    ("/upload", upload),
    ("/files/", download),
    ("/", index),
]
