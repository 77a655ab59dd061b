"""The admin console of a small device, to copy and change; README.md explains it.

./build.sh run -c samples/console/fapws.toml      then open http://127.0.0.1:8888/
"""
import os

from common import DATA, HERE, INSTALL, REBOOT, ROOT, RUN, USERS, VERSION, html, lines, page, posted, run
from fapws import Login, channel, upload
from fapws.contrib.views import Staticfile
from logs import live_lines, logs
from password import password
from services import services
from settings import backup, restore, settings
from terminal import shell, terminal
from values import dashboard, overview

@page("Reboot", "/reboot")
def reboot(environ, start_response):
    if not posted(environ):
        return html("reboot")
    run(ROOT + REBOOT)
    return html("rebooting", overview=overview())

@page("Firmware", "/firmware")
def firmware(environ, start_response):
    return html("firmware", version=lines(VERSION)[0] or "unknown")

@page("Firmware", "/firmware")
def install(environ, start_response):  # the file is complete, and has the SHA-256 of the form
    file = environ["fapws.upload"].file
    if INSTALL:
        run(ROOT + INSTALL + [file.path])
    return html("installed", done="Installed" if INSTALL else "Stored", size=file.size, sha256=file.sha256)

ENTRIES = [
    ("/values", channel("values")),
    ("/services", services),
    ("/logs/live", live_lines),
    ("/logs", logs),
    ("/settings", settings),
    ("/backup", backup),
    ("/restore", upload(os.path.join(RUN, "restore.json"), restore, max_size="64K")),
    ("/firmware-image", upload(os.path.join(DATA, "firmware.bin"), install, max_size="512M", sync="4M")),
    ("/firmware", firmware),
    ("/password", password),
    ("/terminal/shell", shell),
    ("/terminal", terminal),
    ("/reboot", reboot),
    ("/www", Staticfile(HERE / "www")),
    ("/", dashboard),
]
PATHS = [(path, Login(entry, USERS, title="Console")) for path, entry in ENTRIES]
