"""Server-sent events: a page that the server keeps up to date.

./build.sh run samples/sse/sse.py      then open http://127.0.0.1:8888/
"""
import json
import os
import threading
import time


# Each subscriber sleeps in a thread between its events, so this script needs more threads
# than usual. With `--threads 0`, all clients would wait for every sleep.
THREADS = 64

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Server-sent events</title>
<style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;text-align:center}
time{display:block;font-size:4rem;font-variant-numeric:tabular-nums}
meter{width:100%}#state{color:gray}
</style>
<h1>Server-sent events</h1>
<time id=time>–</time>
<p>Load of the machine <meter id=load max=4></meter>
<p><b id=subscribers>–</b> listening
<p id=state>connecting
<script>
const at = id => document.getElementById(id), events = new EventSource("/events")
events.addEventListener("tick", event => {
  const tick = JSON.parse(event.data)
  at("time").textContent = tick.time
  at("load").value = tick.load
  at("subscribers").textContent = tick.subscribers
})
// when the connection breaks, the browser comes back by itself and tells the last id it saw
events.onopen = () => at("state").textContent = "connected"
events.onerror = () => at("state").textContent = "reconnecting"
</script>"""

subscribers = 0
lock = threading.Lock()


def index(environ, start_response):
    return PAGE


def events(environ, start_response):
    """/events?every=1: an event every second, until the client disconnects."""
    try:
        every = min(60.0, max(0.05, float(environ["fapws.params"]["every"][0])))
    except (KeyError, ValueError):
        every = 1.0
    last = environ.get("HTTP_LAST_EVENT_ID", "")
    number = int(last) if last.isdecimal() and len(last) < 16 else 0
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")])
    return ticks(number, every)


def ticks(number, every):
    global subscribers
    with lock:
        subscribers += 1
    try:
        yield "retry: 2000\n\n"  # milliseconds until the browser reconnects
        while True:
            number += 1
            tick = {"time": time.strftime("%H:%M:%S"), "load": os.getloadavg()[0], "subscribers": subscribers}
            yield f"id: {number}\nevent: tick\ndata: {json.dumps(tick)}\n\n"
            time.sleep(every)
    finally:
        # The server closes the generator when the client disconnects.
        with lock:
            subscribers -= 1


PATHS = [
    ("/events", events),
    ("/", index),
]
