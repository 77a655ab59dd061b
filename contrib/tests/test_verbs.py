import unittest

from fapws._verbs import adapt


def ask(application, method):
    """Returns the body, and the arguments of start_response."""
    said = []
    body = application({"REQUEST_METHOD": method}, lambda status, headers: said.append((status, dict(headers))))
    return body, said


class Both:
    made = 0

    def __init__(self):
        Both.made += 1
        self.asked = 0

    def get(self, environ, start_response):
        self.asked += 1
        return [b"got %d" % self.asked]

    def post(self, environ, start_response):
        return [b"posted"]


class Own:
    def head(self, environ, start_response):
        return [b"head"]

    def options(self, environ, start_response):
        return [b"options"]


class NeedsMore:
    def __init__(self, store, name="x"):
        pass

    def get(self, environ, start_response):
        return []


class VerbsTest(unittest.TestCase):
    def test_class(self):
        application, before = adapt(Both), Both.made
        for _ in range(3):
            self.assertEqual(ask(application, "GET"), ([b"got 1"], []))
        self.assertEqual(ask(application, "HEAD"), ([b"got 1"], []))
        self.assertEqual(Both.made - before, 4)
        self.assertEqual(ask(application, "POST"), ([b"posted"], []))

    def test_object(self):
        application = adapt(Both())
        self.assertEqual([ask(application, "GET")[0] for _ in range(2)], [[b"got 1"], [b"got 2"]])

    def test_refuses(self):
        allowed = "GET, HEAD, POST, OPTIONS"
        body, said = ask(adapt(Both), "DELETE")
        self.assertIn(b"<h1>Method Not Allowed</h1>", body[0])
        self.assertEqual(
            [(status, headers["Allow"]) for status, headers in said], [("405 Method Not Allowed", allowed)]
        )
        for method in "get", "__init__", "PROPFIND", "":
            self.assertEqual(ask(adapt(Both), method)[1][0][0][:3], "405", method)

    def test_options(self):
        self.assertEqual(ask(adapt(Both), "OPTIONS"), ([], [("204 No Content", {"Allow": "GET, HEAD, POST, OPTIONS"})]))
        self.assertEqual(ask(adapt(Own), "OPTIONS"), ([b"options"], []))
        self.assertEqual(ask(adapt(Own), "HEAD"), ([b"head"], []))
        self.assertEqual(ask(adapt(Own), "GET")[1][0][1]["Allow"], "HEAD, OPTIONS")

    def test_nothing_of_the_kind(self):
        class Application:
            def get(self):
                pass

            def __call__(self, environ, start_response):
                pass

        class Iterable(Both):
            def __iter__(self):
                return iter(())

        class Nothing:
            get = None

        for entry in (Application, Application(), Iterable, Nothing(), {}, [], 5, "x", None, dict, len):
            self.assertIsNone(adapt(entry), entry)
        for entry in (Nothing, object):  # classes that no request can call
            self.assertIn(f"the class {entry.__qualname__} has no method get, head,", adapt(entry))

    def test_needs_arguments(self):
        self.assertIn("NeedsMore() needs store: put an object", adapt(NeedsMore))
        self.assertEqual(ask(adapt(NeedsMore(1)), "GET"), ([], []))
