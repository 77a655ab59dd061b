"""``fapws.Timeout``, raised in a handler that takes longer than ``--timeout``."""
try:
    from fapws._native import Timeout
# outside the executable, for tests of code that catches Timeout
except ImportError:

    class Timeout(Exception):  # type: ignore[no-redef]
        """Raised in a handler that takes longer than --timeout."""

        __module__ = "fapws"


__all__ = ["Timeout"]
