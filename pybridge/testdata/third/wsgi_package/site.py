def application(environ, start_response):
    return [f"{__name__} {type(environ).__name__}".encode()]
