"""Exceptions that the server raises in handlers: ``fapws.Timeout`` and ``fapws.ClientDisconnected``."""
try:
    from fapws._native import ClientDisconnected, Timeout
# outside the server, for tests of code that catches these exceptions
except ImportError:

    class ClientDisconnected(BrokenPipeError):  # type: ignore[no-redef]
        """Raised by write() and send() after the client has disconnected."""

        __module__ = "fapws"

    class Timeout(Exception):  # type: ignore[no-redef]
        """Raised in a handler that takes longer than --timeout."""

        __module__ = "fapws"


__all__ = ["ClientDisconnected", "Timeout"]
