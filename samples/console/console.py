"""The admin console of a small device, to copy and change; README.md explains it.

./build.sh run -c samples/console/fapws.toml      then open http://127.0.0.1:8888/
"""
import os

import device
from fapws.contrib.views import Staticfile
from logs import live as log_lines, logs
from page import page, posted
from services import services
from settings import settings
from terminal import shell, terminal
from values import BODY, dashboard, live

@page("Reboot")
def reboot(environ, start_response):
    if not posted(environ):
        return """<form method="post"><p>The device restarts, and does not answer for a while.</p>
<button class="bad">Reboot now</button> <a href="./">Cancel</a></form>"""
    device.run(device.ROOT + device.REBOOT)
    return '<p role="status">The device restarts. This page continues when it is back.</p>' + BODY

PATHS = [
    ("/values", live),
    ("/services", services),
    ("/logs/live", log_lines),
    ("/logs", logs),
    ("/settings", settings),
    ("/terminal/shell", shell),
    ("/terminal", terminal),
    ("/reboot", reboot),
    ("/www", Staticfile(os.path.join(os.path.dirname(os.path.abspath(__file__)), "www"))),
    ("/", dashboard),
]
