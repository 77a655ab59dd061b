"""A clock in every open page, updated by server-sent events.

./build.sh run samples/clock/clock.py      then open http://127.0.0.1:8888/

Plain synchronous code. A waiting subscriber needs a connection but no thread, so
thousands can watch. With `--dev`, save this file while the page is open: fapws loads
the new code, and the stream continues.
"""
import threading
import time

from fapws import channel, subscribers, publish

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Clock</title><link rel=icon href=data:,>
<style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;text-align:center}
time{display:block;font-size:min(5rem,20vw);font-variant-numeric:tabular-nums}
#state{opacity:.7}
</style>
<h1>Clock</h1>
<time id=time>–</time>
<p><b id=viewers>–</b> watching, <b id=ticks>0</b> seconds without a gap
<p id=state>connecting
<script>
const at = id => document.getElementById(id), events = new EventSource("/events")
let last = 0, ticks = 0
events.addEventListener("tick", event => {
  const tick = JSON.parse(event.data)
  if (tick.second <= last) return // each worker publishes: a second may come twice
  ticks = tick.second == last + 1 ? ticks + 1 : 1
  last = tick.second
  at("time").textContent = tick.time
  at("viewers").textContent = tick.viewers
  at("ticks").textContent = ticks
})
// When the connection breaks, the browser comes back by itself, tells the id that it saw
// last, and gets what was published since.
events.onopen = () => at("state").textContent = "connected"
events.onerror = () => at("state").textContent = "reconnecting"
</script>"""


def index(environ, start_response):
    return PAGE


def tick():
    """Publishes each full second, from a thread of this script."""
    while True:
        second = int(time.time()) + 1
        time.sleep(max(0, second - time.time()))
        publish("clock", {
            "second": second,
            "time": time.strftime("%H:%M:%S", time.localtime(second)),
            "viewers": subscribers("clock"),
        }, event="tick")


threading.Thread(target=tick, name="clock", daemon=True).start()

PATHS = [
    ("/events", channel("clock")),  # a handler may return channel("clock"), too
    ("/", index),
]
