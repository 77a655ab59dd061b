"""Waits until the test creates the file ARG.go. If the file has a text, the script fails with this text."""
import os
import sys
import time

import fapws

go = sys.argv[1] + ".go"
while not os.path.exists(go):
    time.sleep(0.01)
with open(go) as f:
    why = f.read()
if why:
    raise RuntimeError(why)


def size(environ, start_response):
    return str(len(environ["wsgi.input"].read()))


def publish(environ, start_response):
    fapws.publish("news", "from " + environ["REQUEST_METHOD"])
    return "published"


PATHS = [
    ("/publish", publish), ("/news", lambda environ, start_response: fapws.channel("news")), ("/size", size),
    ("/", lambda environ, start_response: "hello"),
]
