import os
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

from fapws import users

FILE = sys.argv[1]


def call(environ, start_response):
    action, *arguments = map(unquote, environ["QUERY_STRING"].split("&"))
    try:
        return repr(getattr(users, action)(FILE, *arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def later(environ, start_response):
    return call(environ, start_response)


def crowd(environ, start_response):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: users.set(FILE, f"user{i}", "correct horse"), range(8)))
    return "set"


def child(environ, start_response):
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, call(environ, start_response).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as text:
        said = text.read()
    os.wait()
    return said


PATHS = [("/call", call), ("/crowd", crowd), ("/child", child)]
if "fork" not in sys.argv:  # --fork supports no async handlers.
    PATHS.append(("/later", later))
