"""The event loop of uvloop, if that is installed."""
from __future__ import annotations

import uvloop

Loop = uvloop.Loop
