import os
import socket
import sqlite3
import subprocess
import sys
import time

SECRET, PORT, FOLDER = sys.argv[1:]


def read(environ, start_response):
    try:
        return open(SECRET).read()
    except OSError:
        return "hidden"


def write(environ, start_response):
    with open(FOLDER + "/new", "a") as f:
        f.write("x")


def database(environ, start_response):
    sqlite3.connect(FOLDER + "/db").execute("create table t (x)")


def run(environ, start_response):
    return str(subprocess.run(["/bin/true"]).returncode)


def connect(environ, start_response):
    socket.create_connection(("127.0.0.1", PORT))


def listen(environ, start_response):
    socket.socket().bind(("127.0.0.1", int(PORT)))


def unix(environ, start_response):
    socket.socket(socket.AF_UNIX)


def fine(environ, start_response):
    time.sleep(6)  # longer than the server waits for Python to end
    return str(len(os.listdir(os.path.dirname(os.path.abspath(__file__)))))


PATHS = [("/read", read), ("/write", write), ("/database", database), ("/run", run), ("/connect", connect),
         ("/listen", listen), ("/unix", unix), ("/fine", fine)]
