"""The C side of fapws, under a name that type checkers can read.

``_fapws`` is built into the fapws executable, so it cannot have a ``.pyi``; ``_native.pyi``
describes the names in this module.
"""
try:
    from _fapws import (
        ClientDisconnected,
        Start_response,
        Timeout,
        WebSocketConnection,
        broadcast,
        broadcast_all,
        cache_purge,
        channel_answer,
        channel_subscribers,
        channel_publish,
        channel_watch,
        group_count,
        group_join,
        group_leave,
        group_send,
        ipc_post,
        ipc_watch,
        static_answer,
        websocket_count,
    )
except ImportError:
    from fapws import _spawned

    if not _spawned.in_one():
        raise ImportError(
            "fapws.base works inside the fapws executable only: "
            "run the script with the command fapws script.py, not with python"
        ) from None
    from fapws._spawned import (
        ClientDisconnected,
        Start_response,
        Timeout,
        WebSocketConnection,
        broadcast,
        broadcast_all,
        cache_purge,
        channel_answer,
        channel_subscribers,
        channel_publish,
        channel_watch,
        group_count,
        group_join,
        group_leave,
        group_send,
        ipc_post,
        ipc_watch,
        static_answer,
        websocket_count,
    )

__all__ = [
    "Start_response",
    "ClientDisconnected",
    "Timeout",
    "WebSocketConnection",
    "broadcast",
    "broadcast_all",
    "cache_purge",
    "channel_answer",
    "channel_subscribers",
    "channel_publish",
    "channel_watch",
    "group_count",
    "group_join",
    "group_leave",
    "group_send",
    "ipc_post",
    "ipc_watch",
    "static_answer",
    "websocket_count",
]
