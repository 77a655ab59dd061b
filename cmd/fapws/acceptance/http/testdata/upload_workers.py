import os
import time

import fapws


def hold(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield f"{os.getpid()}\n".encode()
    while not os.path.exists("go"):
        time.sleep(0.01)


def pid(environ, start_response):
    return str(os.getpid())


os.makedirs("files", exist_ok=True)

PATHS = [("/hold", hold), ("/pid", pid), ("/other", fapws.upload("files")), ("/files", fapws.upload("files"))]
