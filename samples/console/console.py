"""The admin console of a small device, to copy and change; README.md explains it.

./build.sh run -c samples/console/fapws.toml      then open http://127.0.0.1:8888/
"""
import os

from common import DATA, INSTALL, REBOOT, ROOT, RUN, USERS, VERSION, lines, page, posted, run
from fapws import Login, channel, upload
from fapws.contrib.views import Staticfile
from logs import live as log_lines, logs
from password import password
from services import services
from settings import backup, restore, settings
from terminal import shell, terminal
from values import cards, dashboard

@page("Reboot")
def reboot(environ, start_response):
    if not posted(environ):
        return """<form class="card" method="post"><p>The device restarts, and does not answer for a while. Unsaved work in terminals is lost.</p>
<p><button class="danger">Reboot now</button> <a class="button" href="./">Cancel</a></p></form>"""
    run(ROOT + REBOOT)
    return '<p class="note" role="status">The device restarts. This page continues when it is back.</p>' + cards()

@page("Firmware")
def firmware(environ, start_response):
    return f"""<form id="send" method="post" action="firmware-image" enctype="multipart/form-data" class="card fields">
<p>Installed version: <b>{lines(VERSION)[0] or "unknown"}</b></p><label>File <input type="file" name="image" required></label>
<label>SHA-256, if you know it <input name="sha256" pattern="[0-9A-Fa-f]{{64}}" autocomplete="off" spellcheck="false"></label>
<progress aria-label="Progress" hidden></progress><p class="bad" role="alert" hidden></p><button class="main">Install</button></form>
<script type="module" src="www/firmware.js"></script>"""

@page("Firmware")
def install(environ, start_response):  # the file is complete, and has the SHA-256 of the form
    file = environ["fapws.upload"].file
    if INSTALL:
        run(ROOT + INSTALL + [file.path])
    return f"""<div class="card"><p class="note" role="status">{"Installed" if INSTALL else "Stored"}: {file.size} bytes</p>
<p>SHA-256 <code>{file.sha256}</code></p><p><a class="button main" href="reboot">Reboot</a></p></div>"""

ENTRIES = [
    ("/values", channel("values")),
    ("/services", services),
    ("/logs/live", log_lines),
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
    ("/www", Staticfile(os.path.join(os.path.dirname(USERS), "www"))),
    ("/", dashboard),
]
PATHS = [(path, Login(entry, USERS, title="Console")) for path, entry in ENTRIES]
