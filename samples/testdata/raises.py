"""A handler that fails, with a secret in its hands."""
import sys

DEBUG = int(sys.argv[1])


def fails(environ, start_response):
    token = "hush" + "-hush"
    return 1 / len(token[:0])


PATHS = [("/", fails)]
