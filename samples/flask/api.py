"""A blueprint: routes that an application can mount under any prefix."""
from flask import Blueprint, jsonify, request

api = Blueprint("api", __name__)


@api.get("/add/<int:a>/<int:b>")
def add(a, b):
    return jsonify(a=a, b=b, sum=a + b)


@api.post("/reverse")
def reverse():
    # get_json() responds with 415 or 400 if the body is not JSON
    return jsonify(reversed=request.get_json()["text"][::-1])


@api.get("/divide/<int:a>/<int:b>")
def divide(a, b):
    # A division by zero causes a traceback in the log and a 500 for the client.
    return jsonify(quotient=a / b)


@api.errorhandler(400)
@api.errorhandler(415)
def refused(error):
    return jsonify(error=error.name), error.code
