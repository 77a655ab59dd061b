from fapws import WebSocket


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return "Hello world!!"


def echo(ws, message):
    ws.send(message)


PATHS = [("/ws", WebSocket(on_message=echo)), ("/hello", hello)]
