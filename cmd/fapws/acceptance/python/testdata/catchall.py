"""PATHS is a tuple of lists. The last entry answers all other paths."""


def first(environ, start_response):
    return "first"


def rest(environ, start_response):
    return environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"]


PATHS = (["/first", first], ("", rest))
