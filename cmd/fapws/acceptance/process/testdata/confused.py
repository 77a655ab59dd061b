"""Handlers that ask the server to send a file, or to run a program. The sandbox hides the file from the application.
Some handlers forge responses that name the file."""
import os
import socket
import sys

from fapws.contrib.cgi import CGIApplication
from fapws.contrib.views import Staticfile


secret, data = sys.argv[1:]


def file(environ, start_response):
    return Staticfile(os.path.dirname(secret))(environ, start_response)


def program(environ, start_response):
    with open(data + "/x.cgi", "w") as f:
        f.write("#!/bin/sh\necho Content-Type: text/plain; echo; echo it ran\n")
    os.chmod(data + "/x.cgi", 0o755)
    return CGIApplication(data + "/x.cgi")(environ, start_response)


def link(environ, start_response):
    os.symlink(os.path.dirname(secret), data + "/link")
    return "linked"


def header(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), (environ["QUERY_STRING"], secret)])
    return [b""]


def raw(environ, start_response):
    for fd in range(3, 64):
        try:
            answer = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if answer.type == socket.SOCK_STREAM:
            answer.send((environ["QUERY_STRING"].replace("=", ": ") + secret + "\r\n\r\n").encode())
            answer.recv(1)
            os._exit(0)


def who(environ, start_response):
    return "%d" % os.getppid()


PATHS = [
    ("/file", file), ("/program", program), ("/header", header), ("/raw", raw), ("/who", who),
    ("/link", link),
    ("/private", Staticfile(os.path.dirname(secret))),
]
