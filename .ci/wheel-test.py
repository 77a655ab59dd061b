#!/usr/bin/env python3
"""usage: PYTHON .ci/wheel-test.py WHEELS

Installs fapws from the folder WHEELS into a new virtual environment of PYTHON, as a user without compiler and network
does, and tries it: threads, inline and workers, a framework in the environment, reload, upgrade, and its end.
`./build.sh roots --wheel` runs it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request

APP = """
import os, sys
from framework import greeting

def hello(environ, start_response):
    return greeting("WSGI")

def who(environ, start_response):
    return "%d %s" % (os.getpid(), sys.prefix)

async def page(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": greeting("ASGI").encode()})

PATHS = [("/who", who), ("/page", page), ("/", hello)]
"""
LIMIT = 120


def run(*command, **options):
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=LIMIT * 3, **options
    )
    if done.returncode:
        sys.exit("wheel-test: %s: exit status %d\n%s" % (" ".join(command), done.returncode, done.stdout))
    return done.stdout


class Server:
    def __init__(self, venv, folder, *args):
        self.fapws, self.log = os.path.join(venv, "bin", "fapws"), os.path.join(folder, "log")
        self.control = os.path.join(folder, "ctl")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.fapws, "-b", "127.0.0.1:0", "--ctl-socket", self.control, *args, "app.py"], cwd=folder,
                stdout=log, stderr=log,
            )
        self.url = self.logged(r"^ +(http://127\.0\.0\.1:\d+)/")

    def logged(self, pattern):
        """Waits until the log matches pattern, and returns the group."""
        tick = threading.Event()
        for _ in range(LIMIT * 10):
            with open(self.log) as log:
                found = re.search(pattern, log.read(), re.M)
            if found:
                return found.group(1)
            if self.process.poll() is not None:
                break
            tick.wait(0.1)
        self.fail("the log lacks " + pattern)

    def fail(self, why):
        self.process.kill()
        with open(self.log) as log:
            sys.exit("wheel-test: %s\n%s" % (why, log.read()))

    def ask(self, path):
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            self.url + path, timeout=LIMIT
        ).read().decode()

    def load(self):
        """200 requests by four clients."""
        wrong = []

        def client(path, want):
            try:
                wrong.extend(got for got in (self.ask(path) for _ in range(50)) if got != want)
            except OSError as error:
                wrong.append(repr(error))

        threads = [
            threading.Thread(target=client, args=pair) for pair in [("/", "Hello WSGI"), ("/page", "Hello ASGI")] * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            self.fail("%d wrong answers: %s" % (len(wrong), wrong[:3]))

    def signaled(self, number):
        """Sends a signal, and sends requests until another worker answers."""
        before = self.ask("/who")
        self.process.send_signal(number)
        for _ in range(LIMIT * 100):
            if self.ask("/who") != before:
                return
        self.fail("signal %d: no new worker answers" % number)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(LIMIT):
            self.fail("exit status %d after TERM" % self.process.returncode)


def main():
    wheels = os.path.abspath(sys.argv[1])
    version = "%d.%d.%d" % sys.version_info[:3]
    for name in [name for name in os.environ if name.startswith("FAPWS_")]:
        del os.environ[name]
    os.environ.update(FAPWS_ALLOW_ROOT="1", PIP_CONFIG_FILE="/dev/null", PIP_DISABLE_PIP_VERSION_CHECK="1")
    for name in os.listdir(wheels):
        if name.endswith(".whl") and not re.search(r"manylinux_2_(17_|34_armv7l)", name):
            sys.exit("wheel-test: %s needs a newer glibc than others" % name)
    with tempfile.TemporaryDirectory() as folder:
        venv = os.path.join(os.path.realpath(folder), "venv")
        run(sys.executable, "-m", "venv", venv)
        run(venv + "/bin/python", "-m", "pip", "install", "-q", "--no-index", "--find-links", wheels, "fapws")
        packages = run(venv + "/bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        with open(packages + "/framework.py", "w") as f:
            f.write(
                "import ctypes, hashlib, json, sqlite3, ssl, zlib\ndef greeting(name):\n    return 'Hello ' + name\n"
            )
        with open(folder + "/app.py", "w") as f:
            f.write(APP)
        made_of = "import importlib.metadata as m; print(m.distribution('fapws').read_text('sboms/fapws.cdx.json'))"
        if not json.loads(run(venv + "/bin/python", "-c", made_of))["components"]:
            sys.exit("wheel-test: the SBOM of the wheel lists nothing")
        # At this point, before the first call, this Python and its libc must have all functions that the library
        # imports.
        said = run(venv + "/bin/fapws", "--version", env=dict(os.environ, LD_BIND_NOW="1"))
        if version not in said:
            sys.exit("wheel-test: --version does not name Python %s: %s" % (version, said))
        run(venv + "/bin/python", "-m", "fapws", "check", "app.py", cwd=folder)
        for mode in ["--threads", "8"], ["--threads", "0"], ["--workers", "2"]:
            server = Server(venv, folder, *mode)
            server.load()
            if server.ask("/who").split()[1] != venv:
                server.fail("%s serves, not %s" % (server.ask("/who"), venv))
            if "--workers" in mode:
                server.signaled(signal.SIGHUP)
                server.signaled(signal.SIGUSR2)
                server.load()
                json.loads(run(server.fapws, "ctl", "--socket", server.control, "status", "--json"))
            server.stop()
    print("wheel-test: %s: all good" % said.strip())


main()
