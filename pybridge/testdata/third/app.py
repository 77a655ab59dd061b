"""And one more script called app.py."""


def application(environ, start_response):
    return [__name__.encode()]
