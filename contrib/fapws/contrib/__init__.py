"""Helpers for handlers: redirects, static files, uploads."""
