"""What comes in a WebSocket goes back."""

from fapws import WebSocket

PATHS = [('/callbacks', WebSocket(on_message=lambda ws, message: ws.send(message)))]
