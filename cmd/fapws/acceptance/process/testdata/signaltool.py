"""A tool that handles SIGTERM and SIGINT, and calls the previous handlers."""
import sys
loaded = set(sys.modules)
import signal


def end_at_once(number, frame):
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def handle(number):
    before = signal.getsignal(number)
    if not callable(before):
        before = end_at_once
    def pass_on(number, frame):
        print("passed on", file=sys.stderr, flush=True)
        before(number, frame)
    signal.signal(number, pass_on)


handle(signal.SIGTERM)
handle(signal.SIGINT)
for name in set(sys.modules) - loaded:
    del sys.modules[name]
