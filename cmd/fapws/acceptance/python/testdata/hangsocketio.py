import threading

from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")


@app.route("/locked")
@socketio.on("locked")
def locked():
    never = threading.Lock()
    never.acquire()
    never.acquire()


@app.route("/")
def quick():
    return "quick"
