"""Helpers for handlers: redirects, static files, uploads.

The package is called ``fapws.contrib`` as in fapws3, and ``fapws4.contrib`` as in Fapws4, whose scripts import it.
"""
