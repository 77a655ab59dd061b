"""Static files of a directory that the test fills. The server or a handler sends them."""
import os
import sys
import time
from fapws4.contrib import views

folder = sys.argv[1]
os.makedirs(folder + "/site/sub", exist_ok=True)
os.makedirs(folder + "/bare", exist_ok=True)
behind = views.Staticfile(folder + "/site")


def handler(environ, start_response):
    return behind(environ, start_response)


def wait(environ, start_response):
    with open(folder + "/entered", "a") as f:
        f.write("yes\n")
    while not os.path.exists(folder + "/go"):
        time.sleep(0.002)
    return "waited"


PATHS = [
    ("/static/", views.Staticfile(folder + "/site", maxage=60)),
    ("/bare", views.Staticfile(folder + "/bare", index=None)),
    ("/handler", handler),
    ("/wait", wait),
]
