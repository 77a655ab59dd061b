import json
import os

import fapws


def received(environ, start_response):
    upload = environ["fapws.upload"]
    answer = {
        "files": [dict(vars(file), read=os.path.getsize(file.path)) for file in upload.files],
        "fields": upload.fields,
        "first": upload.file.name,
        "note": upload.field("note", "none"),
        "id": upload.id,
        "body": environ["wsgi.input"].read().decode(),
        "method": environ["REQUEST_METHOD"],
        "path": environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"],
    }
    start_response("202 Accepted", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def length(environ, start_response):
    return environ["CONTENT_LENGTH"]


for name in ("files", "bare", "new"):
    os.makedirs(name, exist_ok=True)

PATHS = [
    ("/files", fapws.upload("files", received, channel="progress", sync="64K")),
    ("/bare", fapws.upload("bare", max_size="1M", max_active=3, mode=0o600)),
    ("/new", fapws.upload("new", replace=False, sync="none", max_size=None, origins="https://other.example")),
    ("/one", fapws.upload("one.bin", max_size=None)),
    ("/private", fapws.Login(fapws.upload("bare", received), users="users")),
    ("/length", length),
    ("/progress", fapws.channel("progress")),
]
