kept = {}


def keep(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    kept.update(environ=environ, start=start_response, write=write, lines=iter(environ["wsgi.input"]))
    return "kept"


def use(environ, start_response):
    out = []
    for what in (
        lambda: kept["environ"]["wsgi.input"].read(),
        lambda: next(kept["lines"]),
        lambda: kept["start"]("200 OK", []),
        lambda: kept["start"].add_header("X-Late", "1"),
        lambda: kept["write"](b"late"),
        lambda: kept["environ"]["PATH_INFO"],
    ):
        try:
            out.append(repr(what()))
        except Exception as error:
            out.append(type(error).__name__)
    return " ".join(out)


PATHS = [("/keep", keep), ("/use", use)]
