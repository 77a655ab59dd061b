"""Shows which entry of PATHS has answered, and the path in environ."""


def entry(name):
    def handler(environ, start_response):
        return {
            "entry": name,
            "script": environ["SCRIPT_NAME"],
            "path": environ["PATH_INFO"],
            "query": environ["QUERY_STRING"],
            "raw": environ["RAW_URI"],
        }

    return handler


PATHS = [(uri, entry(uri)) for uri in ("/a", "/ab", "/dir/", "/deep/er", "/caf\u00e9", "/sp ace", "/x/y")]
