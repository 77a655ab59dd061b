"""A tuple of lists, and an entry for all other paths."""


def first(environ, start_response):
    return "first"


def rest(environ, start_response):
    return environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"]


PATHS = (["/first", first], ("", rest))
