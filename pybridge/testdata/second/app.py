import beside
from fapws.base import Start_response as Base

MAX_BODY_SIZE = 5
PATHS = []


class Environ(dict):
    pass


class Start_response(Base):
    pass


def second(environ, start_response):
    kinds = [f"{type(it).__module__}.{type(it).__name__}" for it in (environ, start_response)]
    return [repr([__name__, beside.NAME] + kinds).encode()]


def another(environ, start_response):
    return [f"another of {__name__}".encode()]


PATHS.append(("/second", second))
