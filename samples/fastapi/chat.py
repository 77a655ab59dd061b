"""FastAPI: a chat for any number of workers, with a group of WebSockets for each room.

./build.sh run --workers 2 samples/fastapi/chat.py     then open http://127.0.0.1:8888/ in two windows
"""
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

from fapws import groups

application = FastAPI(docs_url=None, redoc_url=None)

PAGE = """<!doctype html>
<title>Chat</title>
<ul id="lines"></ul>
<form id="form"><input id="text" placeholder="Say something" autofocus></form>
<script>
  const nick = Math.random().toString(36).slice(2, 6);
  const socket = new WebSocket(location.href.replace("http", "ws") + "rooms/lobby?name=" + nick);
  socket.onmessage = event => {
    const line = JSON.parse(event.data);
    lines.append(Object.assign(document.createElement("li"), {textContent: line.name + ": " + line.text}));
  };
  form.onsubmit = event => { event.preventDefault(); socket.send(text.value); text.value = ""; };
</script>
"""


@application.get("/", response_class=HTMLResponse)
async def page():
    return PAGE


@application.get("/rooms/{room}")
def people(room: str):
    return {"people": groups.count(room)}


@application.post("/rooms/{room}", status_code=204)
def announce(room: str, text: str):
    """A plain function: FastAPI runs it on a thread."""
    groups.send(room, {"name": "announcement", "text": text})


@application.websocket("/rooms/{room}")
async def chat(websocket: WebSocket, room: str, name: str = "guest"):
    await websocket.accept()
    groups.join(websocket, room)
    groups.send(room, {"name": name, "text": "is here"})
    try:
        while True:
            groups.send(room, {"name": name, "text": await websocket.receive_text()})
    except WebSocketDisconnect:
        groups.send(room, {"name": name, "text": "has left"})
