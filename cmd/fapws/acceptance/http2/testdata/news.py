from fapws import channel, publish


def say(environ, start_response):
    publish("news", environ["QUERY_STRING"], id=environ["QUERY_STRING"])
    start_response("200 OK", [])
    return [b"said"]


PATHS = [("/news", channel("news")), ("/say", say)]
