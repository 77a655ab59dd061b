"""Does not end to load while its argument is a file."""
import os
import sys
import time

with open(sys.argv[1], "w") as f:
    f.write(str(os.getpid()))
while os.path.exists(sys.argv[1]):
    time.sleep(0.01)


def hello(environ, start_response):
    return "hello"


PATHS = [("/", hello)]
