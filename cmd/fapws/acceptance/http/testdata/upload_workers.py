import os

import fapws


def pid(environ, start_response):
    return str(os.getpid())


os.makedirs("files", exist_ok=True)

PATHS = [("/pid", pid), ("/other", fapws.upload("files")), ("/files", fapws.upload("files"))]
