"""A page that listens to a channel, and posts to it what it hears back."""
from fapws import channel, publish

PAGE = b"""<!DOCTYPE html><title>page</title><p id="heard">nothing</p><script>
const events = new EventSource("/news");
events.onopen = () => fetch("/say", {method: "POST", body: "x".repeat(300000)});
events.onmessage = event => {
  const protocols = performance.getEntries().map(entry => entry.nextHopProtocol).filter(Boolean);
  document.getElementById("heard").textContent = event.data + " " + [...new Set(protocols)];
};
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [PAGE]


def say(environ, start_response):
    publish("news", "heard %d" % len(environ["wsgi.input"].read()))
    start_response("204 No Content", [])
    return []


PATHS = [("/news", channel("news")), ("/say", say), ("/", page)]
