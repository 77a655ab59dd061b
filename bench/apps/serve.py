"""Runs an application of this folder on a server that is a Python module: MODULE APP HOST PORT."""
import importlib
import sys

module, app, host, port = sys.argv[1:]
importlib.import_module(module).run(importlib.import_module(app).application, host, int(port))
