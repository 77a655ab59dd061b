"""The classes of environ and start_response.

A script that has ``Environ`` or ``Start_response`` in its globals, imported
or subclassed, gets instances of these classes; the server makes each with no
arguments and fills it. A script with PATHS also gets an Environ if a key of Environ,
such as ``"fapws.params"``, is in its text or in the text of a module beside it. In all
other scripts, environ is a plain dict, as PEP 3333 demands, and start_response the
built-in callable with the same methods.
"""
from __future__ import annotations

from fapws._environ import Environ
from fapws._native import Start_response

__all__ = ["Environ", "Start_response"]
