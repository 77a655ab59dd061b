import os
import threading

from fapws import channel, defer, subscribers, on_join, on_leave, publish, timer

events = []
publish("imported", "while the script is imported")


@on_join("room/*")
def joins(name, client):
    events.append(f"+{name} {client.number} {client.address} {client.user} {client.last_event_id}")
    if name == "room/bad":
        raise ValueError("in on_join")


@on_leave("room/*")
def leaves(name, client):
    events.append(f"-{name} {client.number} {client.address} {client.user} {client.last_event_id}")


@on_join("welcome")
def welcome(name, client):
    publish(name, f"there are {subscribers(name)}")


@on_leave("welcome")
def farewell(name, client):
    publish(name, f"there is {subscribers(name)} left")


def arguments(environ):
    from urllib.parse import parse_qsl

    return dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))


def listen(environ, start_response):
    """The path is /listen/NAMES; commas separate the names."""
    start_response("418 is not sent", [("X-Kept", "yes"), ("Content-Type", "text/plain"), ("Content-Length", "5")])
    return channel(
        *environ["PATH_INFO"].strip("/").split(","), start=arguments(environ).get("start", ""), headers={"X-More": "1"}
    )


def field(environ, start_response):
    start_response(
        "200 OK",
        [("fapws-channel", environ["PATH_INFO"].strip("/")), ("Set-Cookie", "a=b"), ("Content-Type", "text/html")],
    )
    return [b": from a field\n\n"]


def missing(environ, start_response):
    start_response("404 Not Found", [("Fapws-Channel", "news"), ("Content-Type", "text/plain")])
    return [b"no such page"]


def generator(environ, start_response):
    start_response("200 OK", [("Fapws-Channel", "news"), ("Fapws-Channel", "other")])
    yield b": one\n\n"
    yield b": two\n\n"


def send(environ, start_response):
    """/send?name=…&data=…&event=…&id=…"""
    a = arguments(environ)
    how, data = a.get("how"), a["data"]
    if how == "json":
        data = {"text": data, "n": [1, None]}
    elif how == "bytes":
        data = data.encode()
    elif how == "long":
        data = "y" * int(data)
    calls = {
        "thread": lambda *args: threading.Thread(target=publish, args=args).start(),
        "defer": lambda *args: defer(publish, *args),
        "timer": once,
    }
    calls.get(how, publish)(a["name"], data, a.get("event"), a.get("id"))
    return str(os.getpid())


def once(*args):
    def run():
        made.stop()
        publish(*args)

    made = timer(0.01, run)


def many(environ, start_response):
    """/many?name=…&from=…&n=…"""
    a = arguments(environ)
    for i in range(int(a["from"]), int(a["from"]) + int(a["n"])):
        publish(a["name"], str(i))
    return "sent"


def wrong(environ, start_response):
    said = []
    for args in (
        ("", "x"), (" a", "x"), (7, "x"), ("a" * 129, "x"), ("a", b"\xff"), ("a", "\ud800"), ("a", {1, 2}),
        ("a", "x", ""), ("a", "x", "b\nc"), ("a", "x", 5), ("a", "x", None, ""), ("a", "x", None, "b\0"),
        ("a", "x", None, 1.5), ("a", "x" * 65537),
    ):
        try:
            publish(*args)
            said.append("nothing")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    for make in (
        lambda: channel(), lambda: channel(*"abcdefghijklmnopq"), lambda: channel("a b"), lambda: channel(None),
        lambda: channel("a", start=5), lambda: channel("a", headers=["x"]), lambda: channel("a", headers={"x": 1}),
        lambda: subscribers("*"), lambda: on_join(print), lambda: on_join("[a]"), lambda: on_leave("a")(5),
    ):
        try:
            make()
            said.append("nothing")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return "\n".join(said)


def child(environ, start_response):
    """Calls functions that fail in a forked child and in a separate process."""
    import subprocess

    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        for call in (lambda: publish("a", "b"), lambda: subscribers("a")):
            try:
                call()
            except Exception as error:
                os.write(w, f"{type(error).__name__}: {error}\n".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(w)
    text = "import sys; sys.path.insert(0, sys.argv[1])\n" + "from fapws import *\nimport fapws\n" + (
        "for f in (lambda: fapws.publish('a', 1), lambda: fapws.channel('a'), lambda: fapws.subscribers('a'), "
        "lambda: fapws.on_join('a')(print)):\n"
        "    try: print(f())\n    except Exception as e: print(type(e).__name__, e)\n"
    )
    package = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 5, "contrib")
    plain = subprocess.run(["/usr/bin/env", "python3", "-c", text, package], capture_output=True, text=True)
    with os.fdopen(r) as said:
        return said.read() + plain.stdout + plain.stderr


class View:
    def get(self, environ, start_response):
        return channel("news", start="data: from a view")


PATHS = [
    ("/listen", listen),
    ("/entry", channel("news")),
    ("/field", field),
    ("/missing", missing),
    ("/generator", generator),
    ("/view", View),
    ("/invalid", lambda environ, start_response: start_response("200 OK", [("Fapws-Channel", "a b")]) and []),
    ("/send", send),
    ("/many", many),
    ("/wrong", wrong),
    ("/child", child),
    ("/pid", lambda environ, start_response: str(os.getpid())),
    ("/count", lambda environ, start_response: str(subscribers(environ["PATH_INFO"].strip("/")))),
    ("/events", lambda environ, start_response: "\n".join(events)),
]
