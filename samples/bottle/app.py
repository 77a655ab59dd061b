"""Bottle: routes, a template, uploads, and files that the server sends itself.

./build.sh run samples/bottle/app.py      then open http://127.0.0.1:8888/
"""
from pathlib import Path

from bottle import Bottle, HTTPError, request, response, static_file, template

FOLDER = Path(__file__).resolve().parent / "uploads"
FOLDER.mkdir(exist_ok=True)

app = Bottle()

# {{...}} escapes; lines with % are Python.
PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>{{title}}</title>
<h1>{{title}}</h1>
% if files:
<ul>
% for file in files:
<li><a href="/files/{{file.name}}">{{file.name}}</a>, {{file.stat().st_size}} bytes
% end
</ul>
% else:
<p>Nothing is here yet.
% end
<form action=/upload method=post enctype=multipart/form-data>
<input type=file name=file required> <button>Upload</button>
</form>
</html>
"""


@app.get("/")
def index():
    return template(PAGE, title="Files", files=sorted(FOLDER.iterdir()))


@app.get("/hello/<name>")
def hello(name):
    response.content_type = "text/plain; charset=utf-8"
    return f"Hello {name}!"


@app.get("/power/<base:int>/<exponent:int>")
def power(base, exponent):
    return {"power": base**exponent}  # a dict becomes JSON


@app.post("/upload")
def upload():
    file = request.files.get("file")
    if not file:
        raise HTTPError(400, "No file was sent.")
    # .filename is cleaned: no directories, only ASCII letters, digits, "-", "_" and "."
    file.save(str(FOLDER), overwrite=True)
    response.status = 303
    response.set_header("Location", "/")
    return "Saved."


@app.get("/files/<name>")
def download(name):
    # static_file supports ranges and If-Modified-Since, and never sends a file outside of the directory.
    return static_file(name, root=str(FOLDER), download=True)


@app.get("/fails")
def fails():
    raise RuntimeError("this handler always fails")  # a traceback in the log, a 500 for the client


@app.error(404)
def missing(error):
    return template("<!doctype html><title>Not found</title><p>There is nothing at {{path}}.", path=request.path)
