"""Django Channels: a chat for any number of workers, without Redis.

./build.sh run --workers 2 samples/channels/chat.py     then open http://127.0.0.1:8888/ in two windows

A site has these parts in settings.py, routing.py, consumers.py and asgi.py; here, they are in one file.
"""
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only for a sample: it keeps no secrets",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "fapws.contrib.channels.Layer"}},
)
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402, because Django must be set up first
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

PAGE = """<!doctype html>
<title>Chat</title>
<ul id="lines"></ul>
<form id="form"><input id="text" placeholder="Say something" autofocus></form>
<script>
  const socket = new WebSocket(location.href.replace("http", "ws") + "rooms/lobby");
  socket.onmessage = event => {
    lines.append(Object.assign(document.createElement("li"), {textContent: JSON.parse(event.data).text}));
  };
  form.onsubmit = event => {
    event.preventDefault(); socket.send(JSON.stringify({text: text.value})); text.value = "";
  };
</script>
"""


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content):
        await self.channel_layer.group_send(self.room, {"type": "chat.line", "text": content["text"]})

    async def chat_line(self, event):
        await self.send_json({"text": event["text"]})


def page(request):
    return HttpResponse(PAGE)


def announce(request, room):
    """A plain view, on a thread."""
    async_to_sync(get_channel_layer().group_send)(room, {"type": "chat.line", "text": request.GET["text"]})
    return HttpResponse(status=204)


urlpatterns = [path("", page), path("announce/<room>", announce)]

application = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": URLRouter([path("rooms/<room>", Chat.as_asgi())]),
})
