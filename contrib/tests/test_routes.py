import contextlib
import io
import unittest

from fapws import WebSocket, _routes
from fapws.contrib.views import Staticfile


def plain(environ, start_response):
    return []


def heard(ws, message):
    pass


class Verbs:
    def post(self, environ, start_response):
        return []


class Middleware:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


class Bottle:
    """Replaces the class Bottle, with the same name and the attributes that fapws._routes reads."""

    __module__, __qualname__ = "bottle", "Bottle"

    class Route:
        rule, method, callback = "/r", "GET", staticmethod(plain)

    routes = [Route]

    def __call__(self, environ, start_response):
        return []


class Starlette:
    """Replaces the class Starlette, with a mount that contains one WebSocket route."""

    __module__, __qualname__ = "starlette.applications", "Starlette"

    class Mount:
        path = "/m"

        class WebSocketRoute:
            path, name, endpoint = "/e", "e", staticmethod(plain)

        routes = [WebSocketRoute]

    routes = [Mount]

    def __call__(self, scope, receive, send):
        pass


class Changed(Bottle):
    """A version of the framework that stores its routes in an attribute with a different name."""

    routes = property()


class RoutesTest(unittest.TestCase):
    def test_rows(self):
        name = f"{__name__}.plain"
        for prefix, entry, want in [
            ("/p", plain, ("/p", "any", "name")),
            ("", plain, ("*", "any", "name")),
            ("/", plain, ("/*", "any", "name")),
            ("/v", Verbs, ("/v", "POST OPTIONS", "name")),
            ("/v", Verbs(), ("/v", "POST OPTIONS", "name")),
            ("/s", Staticfile("."), ("/s", "GET HEAD", "Staticfile('.')")),
            ("", Bottle(), ("/r", "GET", name)),
            ("/b/", Bottle(), ("/b/r", "GET", name)),
            ("/b", Middleware(Middleware(Bottle())), ("/b/r", "GET", name)),
            ("/b", Bottle().__call__, ("/b/r", "GET", name)),
            ("/w", WebSocket(on_message=heard), ("/w", "WEBSOCKET", f"{__name__}.heard")),
            ("/w", WebSocket(), ("/w", "WEBSOCKET", "name")),
            ("", Starlette(), ("/m/e", "WEBSOCKET", name)),
            ("/c", Changed(), ("/c", "any", "name")),
        ]:
            with self.subTest(prefix, entry=entry):
                self.assertEqual([tuple(row) for row in _routes.rows(prefix, entry, "name")], [want])

    def test_endless(self):
        middleware = Middleware(None)
        middleware.app = middleware
        self.assertEqual(_routes.framework(middleware), (middleware, ""))

    def test_table(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            _routes.main([("app.py", {}, [("/plain", plain, "app.plain"), ("/v", Verbs, "app.Verbs")])])
        self.assertEqual(
            out.getvalue(),
            "PATH    METHODS       HANDLER\n"
            "/plain  any           app.plain\n"
            "/v      POST OPTIONS  app.Verbs\n",
        )

    def test_several(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            _routes.main([("a.py", {}, [("/plain", plain, "a.plain")]), ("b.py", {}, [("/v", Verbs, "b.Verbs")])])
        self.assertEqual(
            out.getvalue(),
            "a.py:\n"
            "PATH    METHODS       HANDLER\n"
            "/plain  any           a.plain\n"
            "\n"
            "b.py:\n"
            "PATH    METHODS       HANDLER\n"
            "/v      POST OPTIONS  b.Verbs\n",
        )
