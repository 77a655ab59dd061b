entered = 0


def count(environ, start_response):
    return str(entered)


def enter(environ, start_response):
    global entered
    entered += 1
    return "%d bytes" % len(environ["wsgi.input"].read())


PATHS = [("/count", count), ("/", enter)]
