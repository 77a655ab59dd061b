import os
import threading
import time

from fapws import HTTPError, WebSocket, broadcast

clients = set()
notes = []
gate = threading.Event()


def note(*what):
    notes.append(" ".join(map(str, what)))
    print(*what, flush=True)


def enter(ws):
    query = ws.environ["QUERY_STRING"]
    if query == "false":
        return False
    if query == "teapot":
        return ws.reject(418, "short and stout")
    if query == "gone":
        raise HTTPError(410, "it was here")
    if query == "raises":
        raise RuntimeError("nobody comes in")
    if query == "speaks":
        ws.send("hello")
        return ws.close(4001, "not today")
    if query == "sent":
        ws.send("hello")
        return False
    ws.data.heard = 0
    clients.add(ws)


def hear(ws, message):
    ws.data.heard += 1
    command, _, rest = message.partition(" ") if isinstance(message, str) else ("echo", "", message)
    if command == "echo":
        ws.send(message)
    elif command == "all":
        broadcast(clients, rest)
    elif command == "sleep":
        time.sleep(float(rest))
        ws.send(f"slept {ws.data.heard}")
    elif command == "wait":
        gate.wait()
        ws.send("waited")
    elif command == "hang":
        while True:
            time.sleep(0.01)
    elif command == "raise":
        raise RuntimeError(rest)
    elif command == "wrong":
        for call, *arguments in [
            (ws.send, None), (ws.send, 1), (ws.send, ["x"]), (ws.send, "\ud800"), (ws.close, 999), (ws.close, 1005),
            (ws.close, 1006), (ws.close, 1015), (ws.close, 2000), (ws.close, 5000), (ws.close, 1000, "x" * 124),
            (ws.reject,), (ws.close, 4003), (ws.send, "late"),
        ]:
            try:
                call(*arguments)
            except (TypeError, ValueError, RuntimeError, OSError) as error:
                note(type(error).__name__, *(a for a in arguments if isinstance(a, int)))
    elif command == "close":
        code, _, reason = rest.partition(" ")
        ws.close(int(code), reason)
    elif command == "fork":
        child = os.fork()
        if child == 0:
            try:
                ws.send("from the child")
            except RuntimeError:
                os._exit(7)
            return
        ws.send(str(os.WEXITSTATUS(os.waitpid(child, 0)[1])))
    elif command == "pour":
        try:
            for _ in range(4096):
                ws.send(b"x" * 16384)
            note("poured")
        except OSError as error:
            note("pouring:", type(error).__name__)
    elif command == "drip":
        global dripped
        try:
            for dripped in range(1 << 22):
                ws.send("x")
        except OSError as error:
            note("dripping:", type(error).__name__)
    elif command == "pour_soon":
        def pour():
            try:
                while True:
                    ws.send(b"x" * 16384, timeout=0.2)
            except OSError as error:
                note("pouring:", type(error).__name__)
        threading.Thread(target=pour).start()


def leave(ws, code, reason):
    clients.discard(ws)
    if ws.environ["QUERY_STRING"] == "lingers":
        # Inline, callbacks for other WebSockets must wait, because this takes longer than the server's time slice.
        time.sleep(0.01)
    note("left", code, reason)
    if reason == "raise":
        raise RuntimeError("on_close fails")


def state(environ, start_response):
    """Returns the number of WebSockets, threads and descriptors, and the size of the memory in KiB."""
    with open("/proc/self/status") as status:
        memory = next(line.split()[1] for line in status if line.startswith("RssAnon"))
    return f"{len(clients)} {threading.active_count()} {len(os.listdir('/proc/self/fd'))} {memory}"


dripped = 0


def drops(environ, start_response):
    return str(dripped)


def noted(environ, start_response):
    text = "\n".join(notes)
    notes.clear()
    return text


def wait(environ, start_response):
    gate.wait()
    return "waited"


def open_gate(environ, start_response):
    gate.set()
    return "open"


def hang(environ, start_response):
    while True:
        time.sleep(0.01)


def shout(environ, start_response):
    return str(broadcast(clients, b"!" * int(environ["QUERY_STRING"])))


async def pour_in_task(environ, start_response):
    """Broadcasts to all clients from the asyncio thread, which must not wait."""
    try:
        while True:
            for ws in list(clients):
                ws.send(b"x" * 16384)
    except OSError as error:
        return type(error).__name__


def only_sends(ws):
    try:
        while True:
            ws.send("tick")
            time.sleep(0.01)
    except OSError as error:
        note(type(error).__name__)
        raise


PATHS = [
    ("/endless", WebSocket(only_sends, on_close=lambda ws, code, reason: note("closed", code, reason))),
    ("/task", pour_in_task),
    ("/room", WebSocket(
        enter, hear, leave, subprotocols=["two", "one"], origins=["https://app.example", "https://*.example.net"]
    )),
    ("/state", state),
    ("/noted", noted),
    ("/drops", drops),
    ("/shout", shout),
    ("/open", open_gate),
    ("/wait", wait),
    ("/hang", hang),
]
