"""Waits until the test creates the file ARG.go. If the file has a text, the script fails with this text."""
import os
import sys
import time

with open(sys.argv[1], "w") as f:
    f.write(str(os.getpid()))
while not os.path.exists(sys.argv[1] + ".go"):
    time.sleep(0.01)
with open(sys.argv[1] + ".go") as f:
    why = f.read()
if why:
    raise RuntimeError(why)


def hello(environ, start_response):
    return "hello"


def length(environ, start_response):
    return str(len(environ["wsgi.input"].read()))


PATHS = [("/length", length), ("/", hello)]
