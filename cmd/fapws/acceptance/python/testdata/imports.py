"""Imports a module that the environment has to lead to."""
import lead

PATHS = [("/", lambda environ, start_response: lead.__file__)]
