def hello(environ, start_response):
    return "hello"


PATHS = [("/hello", hello)]
