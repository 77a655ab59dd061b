"""Flask: sessions, a form, an upload, a streamed response, a blueprint, templates.

./build.sh run samples/flask/app.py      then open http://127.0.0.1:8888/
"""
import hashlib
import os
import secrets
import time
from pathlib import Path

from flask import Flask, abort, flash, redirect, render_template, request, session, stream_with_context, url_for

from api import api


def shared_secret(folder):
    """Returns a secret that stays the same over restarts and in all worker processes."""
    file = Path(folder, "secret")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        mine = file.with_name(f"secret.{os.getpid()}")
        mine.write_text(secrets.token_hex(32))
        mine.chmod(0o600)
        try:
            # link() creates the complete file in one step. It fails if a different worker has already created the file.
            os.link(mine, file)
        except FileExistsError:
            pass
        mine.unlink()
    return file.read_text()


app = Flask(__name__)
app.secret_key = shared_secret(app.instance_path)  # signs the session cookie
app.config["MAX_CONTENT_LENGTH"] = 8 * 1024 * 1024
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"  # forms on other sites do not send the session cookie
app.config.from_prefixed_env()  # FLASK_USE_X_SENDFILE=true and so on
app.register_blueprint(api, url_prefix="/api")


@app.get("/")
def index():
    # Autoescaping makes names such as <b> harmless; see templates/.
    return render_template("index.html", name=session.get("name"), visits=session.get("visits", 0))


@app.post("/greet")
def greet():
    name = request.form["name"].strip()  # If the form lacks the name, the client gets a 400.
    if not name:
        flash("A name has at least one letter.")
        return redirect(url_for("index"))
    # The session is in a signed cookie, so any worker can handle the next request.
    session["name"] = name
    session["visits"] = session.get("visits", 0) + 1
    return redirect(url_for("index"))


@app.post("/forget")
def forget():
    session.clear()
    return redirect(url_for("index"))


@app.post("/upload")
def upload():
    file = request.files.get("file")
    if file is None or not file.filename:
        abort(400, "No file was sent.")
    sha, size = hashlib.sha256(), 0
    while block := file.stream.read(64 * 1024):
        sha.update(block)
        size += len(block)
    return render_template("upload.html", name=file.filename, size=size, digest=sha.hexdigest())


@app.get("/stream")
def stream():
    @stream_with_context  # keeps the request's context until the last line
    def lines():
        yield f"Hello {session.get('name', 'stranger')}\n"
        for number in range(1, 1001):
            yield f"{number}\n"
            time.sleep(0.2)

    return lines(), {"Content-Type": "text/plain; charset=utf-8"}


@app.errorhandler(404)
def not_found(error):
    return render_template("missing.html", path=request.path), 404


if __name__ == "__main__":
    app.run()  # `python3 app.py` uses Flask's own server; other servers do not run this
