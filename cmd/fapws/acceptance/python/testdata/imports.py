"""Imports a module that Python finds only by a variable of the environment."""
import lead

PATHS = [("/", lambda environ, start_response: lead.__file__)]
