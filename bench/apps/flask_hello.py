"""Hello world with Flask, to measure the cost of a framework."""

from flask import Flask

application = Flask(__name__)


@application.route("/hello")
def hello():
    return "Hello world!!", {"Content-Type": "text/plain"}
