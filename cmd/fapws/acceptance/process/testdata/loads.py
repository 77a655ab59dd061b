"""Loads until there is a file of the name of its argument with .go behind it."""
import os
import sys
import time

with open(sys.argv[1], "w") as f:
    f.write(str(os.getpid()))
while not os.path.exists(sys.argv[1] + ".go"):
    time.sleep(0.01)


def hello(environ, start_response):
    return "hello"


PATHS = [("/", hello)]
