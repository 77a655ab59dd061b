"""Hello world with Flask: what a framework costs beside the server."""

from flask import Flask

application = Flask(__name__)


@application.route("/hello")
def hello():
    return "Hello world!!", {"Content-Type": "text/plain"}
