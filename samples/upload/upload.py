"""Uploads that are stored while they arrive; every open page shows their progress.

./build.sh run samples/upload/upload.py      then open http://127.0.0.1:8888/

The server itself writes the bytes to the directory "uploads" beside this script as they arrive. It needs no more memory
for a large file, and an incomplete upload leaves no file. fapws calls received() when the files are complete.
"""
import os

import fapws

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uploads")
os.makedirs(FOLDER, exist_ok=True)

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Upload</title><link rel=icon href=data:,>
<style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}
progress{width:100%}
li{overflow-wrap:anywhere}
</style>
<h1>Upload</h1>
<form id=form method=post action=/files enctype=multipart/form-data>
<p><input type=file name=file multiple required>
<p><label>Note <input name=note></label> <button>Send</button> <button type=button id=stop hidden>Stop</button>
</form>
<p id=state role=status>
<ul id=all></ul>
<script>
const at = id => document.getElementById(id), rows = {}
const amount = bytes => (bytes / 1048576).toFixed(1) + " MiB"

// What the server has stored of all uploads, also those of other pages.
function show(upload) {
  const row = rows[upload.id] ??= at("all").appendChild(document.createElement("li"))
  row.textContent = `${upload.name || "…"}: ${upload.error || upload.state}, ${amount(upload.received)} `
  if (upload.state == "receiving") {
    const bar = row.appendChild(document.createElement("progress"))
    if (upload.size > 0) { bar.max = upload.size; bar.value = upload.received }
  }
}
new EventSource("/progress").onmessage = event => show(JSON.parse(event.data))
fetch("/files").then(answer => answer.json()).then(known => known.uploads.forEach(show))

// Without JavaScript the form is sent as it is.
at("form").onsubmit = event => {
  event.preventDefault()
  const request = new XMLHttpRequest()
  request.open("POST", "/files")
  request.onload = () => at("state").textContent = request.responseText
  request.onerror = () => at("state").textContent = "the connection broke off"
  request.onabort = () => at("state").textContent = "stopped"
  request.onloadend = () => at("stop").hidden = true
  at("stop").onclick = () => request.abort()
  at("stop").hidden = false
  at("state").textContent = "sending"
  request.send(new FormData(at("form")))
}
</script>"""


def index(environ, start_response):
    return PAGE


def received(environ, start_response):
    upload = environ["fapws.upload"]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    for file in upload.files:
        yield f"{file.name}: {file.size} bytes, sha256 {file.sha256}\n"
    if upload.field("note"):
        yield f"note: {upload.field('note')}\n"


PATHS = [
    ("/files", fapws.upload(FOLDER, received, channel="uploads", max_size="200M", sync="8M")),
    ("/progress", fapws.channel("uploads")),
    ("/", index),
]
