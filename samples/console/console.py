"""The admin console of a small device, to copy and change; README.md explains it.

./build.sh run -c samples/console/fapws.toml      then open http://127.0.0.1:8888/
"""
import os

from common import DATA, INSTALL, REBOOT, ROOT, page, posted, run
from fapws import Login, channel, upload
from fapws.contrib.views import Staticfile
from logs import live as log_lines, logs
from services import services
from settings import settings
from terminal import shell, terminal
from values import BODY, dashboard, live

HERE = os.path.dirname(os.path.abspath(__file__))

@page("Reboot")
def reboot(environ, start_response):
    if not posted(environ):
        return """<form method="post"><p>The device restarts, and does not answer for a while.</p>
<button class="bad">Reboot now</button> <a href="./">Cancel</a></form>"""
    run(ROOT + REBOOT)
    return '<p role="status">The device restarts. This page continues when it is back.</p>' + BODY

@page("Firmware")
def firmware(environ, start_response):
    return """<form id="send" method="post" action="firmware-image" enctype="multipart/form-data" class="fields">
<label>File <input type="file" name="image" required></label>
<label>SHA-256, if you know it <input name="sha256" pattern="[0-9A-Fa-f]{64}" autocomplete="off"></label>
<button>Install</button><progress hidden></progress><p class="bad" role="alert" hidden></p></form><script type="module" src="www/firmware.js"></script>"""

@page("Firmware")
def install(environ, start_response):  # the file is complete, and has the SHA-256 of the form
    file = environ["fapws.upload"].file
    if INSTALL:
        run(ROOT + INSTALL + [file.path])
    return f"""<p role="status">{"Installed" if INSTALL else "Stored"}: {file.size} bytes, SHA-256 <code>{file.sha256}</code></p>
<p><a href="reboot">Reboot</a></p>"""

ENTRIES = [
    ("/values", live),
    ("/services", services),
    ("/logs/live", log_lines),
    ("/logs", logs),
    ("/settings", settings),
    ("/firmware-image", upload(os.path.join(DATA, "firmware.bin"), install, channel="firmware", max_size="512M", sync="4M")),
    ("/firmware-progress", channel("firmware")),
    ("/firmware", firmware),
    ("/terminal/shell", shell),
    ("/terminal", terminal),
    ("/reboot", reboot),
    ("/www", Staticfile(os.path.join(HERE, "www"))),
    ("/", dashboard),
]
PATHS = [(path, Login(entry, os.path.join(HERE, "users"), title="Console")) for path, entry in ENTRIES]
