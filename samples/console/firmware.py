"""Firmware: the console checks an upload, asks the user, and installs the file."""
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from common import DATA, VERSION, attempt, html, lines, page, parameter, run, setting_words
from fapws import HTTPError

IMAGE = Path(os.environ["CONSOLE_FIRMWARE"] or DATA / "firmware.bin")
UNCHECKED = "The upload is complete. This device cannot check it: compare the SHA-256 with the one of its maker."

def question(size, sha256, checked="", problem=""):
    return html("install", version=lines(VERSION)[0] or "unknown", size=f"{size:,}", sha256=sha256, checked=checked,
                problem=problem)

@page("Firmware", "/firmware")
def firmware(environ, start_response):
    return html("firmware", version=lines(VERSION)[0] or "unknown")

@page("Firmware", "/firmware", "/firmware-image")
def check(environ, start_response):
    """fapws calls this function when the file is complete and has the SHA-256 that the user has entered."""
    file = environ["fapws.upload"].file
    try:
        command = setting_words("CHECK")
        said = run([*command, file.path], root=True, status=422).strip()[-1000:] if command else UNCHECKED
    except HTTPError as error:
        IMAGE.unlink()
        raise HTTPError(error.status, f"The check has refused this file: {error.text}") from None
    return question(file.size, file.sha256, said)

def digest():
    with suppress(FileNotFoundError), open(IMAGE, "rb") as file:
        found = hashlib.sha256()
        while piece := file.read(1 << 20):
            found.update(piece)
        return found.hexdigest()

@page("Firmware", "/firmware", "/firmware/install")
def install(environ, start_response):
    sha256 = parameter(environ, "sha256")
    if environ["REQUEST_METHOD"] != "POST" or parameter(environ, "action") != "install":
        if environ["REQUEST_METHOD"] == "POST":  # the user has cancelled
            IMAGE.unlink(missing_ok=True)
        raise HTTPError(303, headers={"Location": "../firmware"})
    # A later upload has replaced the file, or the user has cancelled the installation in a different tab.
    if sha256 != digest():
        raise HTTPError(409, "Nothing was installed: the file has changed since it was checked. Send it again.")
    size = IMAGE.stat().st_size
    if problem := attempt(start_response, run, [*setting_words("INSTALL"), IMAGE], root=True):
        return question(size, sha256, problem=f"Not installed: {problem}")
    return html("installed", size=f"{size:,}", sha256=sha256)
