"""A page that subscribes to a channel, sends a request that publishes an event to it, and then opens two WebSockets."""
import base64
import hashlib

from fapws import WebSocket, channel, publish

PAGE = b"""<!DOCTYPE html><title>page</title><p id="heard">nothing</p><script>
const events = new EventSource("/news");
events.onopen = () => fetch("/say", {method: "POST", body: "x".repeat(300000)});
events.onmessage = event => {
  const protocols = performance.getEntries().map(entry => entry.nextHopProtocol).filter(Boolean);
  document.getElementById("heard").textContent = event.data + " " + [...new Set(protocols)];
};
const said = [];
function talk(path) {
  const socket = new WebSocket(location.origin.replace("http", "ws") + path);
  socket.onopen = () => path == "/talk" && socket.send("x".repeat(300000));
  socket.onmessage = event => { said.push(event.data); socket.close(3000, "enough"); };
  socket.onclose = event => {
    said.push(path + " " + event.code + " " + event.reason);
    if (path == "/talk") talk("/own");
    else document.getElementById("said").textContent = said.join("; ");
  };
}
fetch("/").then(() => talk("/talk"));
</script><p id="said">nothing</p>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [PAGE]


def say(environ, start_response):
    publish("news", "heard %d" % len(environ["wsgi.input"].read()))
    start_response("204 No Content", [])
    return []


def hear(ws, message):
    ws.send("%d bytes by %s %s" % (len(message), ws.environ["SERVER_PROTOCOL"], ws.environ["REQUEST_METHOD"]))


def own(environ, start_response):
    sock = environ["werkzeug.socket"]
    key = environ["HTTP_SEC_WEBSOCKET_KEY"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
    text = b"own socket by %s" % environ["SERVER_PROTOCOL"].encode()
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81" + bytes([len(text)]) + text)
    sock.recv(100)
    sock.sendall(b"\x88\x02\x0b\xb8")
    return "not sent"


PATHS = [("/news", channel("news")), ("/say", say), ("/talk", WebSocket(on_message=hear)), ("/own", own), ("/", page)]
