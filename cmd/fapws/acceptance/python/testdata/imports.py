"""Imports a module that is found only by the environment."""
import lead

PATHS = [("/", lambda environ, start_response: lead.__file__)]
