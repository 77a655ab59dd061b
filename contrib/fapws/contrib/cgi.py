"""Programs that handle requests (CGI/1.1, RFC 3875)."""
from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Union

__all__ = ["CGIApplication"]


class CGIApplication:
    """An entry of PATHS that runs the programs of a directory: ``PATHS = [("/cgi-bin", CGIApplication("./cgi-bin"))]``.

    The server runs them itself, without Python: each request starts the program that its path names, with the body on
    standard input. Standard error goes to the error log. No file outside the directory is run, and a file that is not
    executable is never sent.

    path         -- the directory, or one program, which then handles all paths under its prefix; a relative path starts
                    at the working directory of fapws
    timeout      -- seconds without output after which a program is terminated, with its children, and the client gets
                    504
    interpreters -- commands for scripts, by extension: ``{".pl": "perl"}`` or ``{".py": ["python3", "-I"]}``; such
                    scripts need not be executable
    env          -- variables for programs, in addition to those of CGI. From the server they get only PATH, LANG,
                    LC_ALL, LC_CTYPE, TZ, TMPDIR and LD_LIBRARY_PATH
    index        -- index program of a directory, or several, of which the first existing one is used

    ``--max-cgi`` limits how many programs run at a time. TypeError, ValueError: wrong argument.

    A handler may call the object, to check something first; a subclass may do so in its ``__call__``::

        programs = CGIApplication("./private")

        def private(environ, start_response):
            if not allowed(environ):
                return redirect(start_response, "/login")
            return programs(environ, start_response)
    """

    def __init__(
        self,
        path: Union[str, os.PathLike[str]],
        timeout: float = 30.0,
        *,
        interpreters: Optional[Mapping[str, Union[str, Sequence[str]]]] = None,
        env: Optional[Mapping[str, str]] = None,
        index: Union[str, Sequence[str]] = (),
    ) -> None:
        self.path = _path(path)
        self.timeout = _seconds(timeout)
        self.interpreters = _interpreters(interpreters)
        self.env = _env(env)
        self.index = [index] if isinstance(index, str) else list(index)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    @property
    def _fapws_cgi(self) -> str:
        """The options with which the server itself runs the programs, without calling Python."""
        if type(self).__call__ is not CGIApplication.__call__:
            # A __call__ of a subclass may check access, so the server must not run programs without calling it.
            raise AttributeError("_fapws_cgi")
        return self._options()

    def _options(self) -> str:
        from json import dumps

        return dumps({
            "path": self.path,
            "timeout": self.timeout,
            "interpreters": self.interpreters,
            "env": self.env,
            "index": self.index,
        })

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Hand the request back to the server, which runs the program.

        SCRIPT_NAME and PATH_INFO select the program. The program gets the whole body, even if the handler has read a
        part. Do not call start_response, because the program sets the status. Fields that were set by
        start_response.add_header and set_cookie are added to the response.
        """
        from fapws._native import static_answer

        return static_answer(self._options(), environ, True)


def _path(path: Union[str, os.PathLike[str]]) -> str:
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"CGIApplication: path must be a path, not {path!r}")
    if not text or "\0" in text:
        raise ValueError(f"CGIApplication: path is not a directory or program: {text!r}")
    return text


def _seconds(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"CGIApplication: timeout must be a number of seconds, not {timeout!r}")
    if not 0 < timeout <= 86400:
        raise ValueError(f"CGIApplication: timeout must be above 0 and at most a day, not {timeout}")
    return float(timeout)


def _interpreters(given: Optional[Mapping[str, Union[str, Sequence[str]]]]) -> Dict[str, List[str]]:
    commands = {}
    for extension, command in dict(given or {}).items():
        words = [command] if isinstance(command, str) else list(command)
        if not words or not all(isinstance(word, str) and "\0" not in word for word in words):
            raise TypeError(f"CGIApplication: the interpreter of {extension!r} must be a command, not {command!r}")
        if not isinstance(extension, str) or not extension.startswith("."):
            raise ValueError(f"CGIApplication: interpreters are for extensions such as '.pl', not {extension!r}")
        commands[extension] = words
    return commands


def _env(given: Optional[Mapping[str, str]]) -> Dict[str, str]:
    env = dict(given or {})
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"CGIApplication: env must contain strings, not {name!r}: {value!r}")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"CGIApplication: env: invalid variable name: {name!r}")
    return env
