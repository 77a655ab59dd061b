"""Fapws for Python scripts: what a script served by the ``fapws`` executable may import.

====================================  =========================================
``fapws.base``                        ``Start_response``, ``Environ``
``fapws.contrib.headers``             ``redirect``, ``rfc1123_date``
``fapws.contrib.views``               ``Staticfile``
``fapws.contrib.multipart``           ``parse`` (file uploads)
====================================  =========================================

The same modules answer to the names that Fapws4 scripts use (``fapws4.base``
and so on). Nothing here is needed to serve a script: a plain
``def app(environ, start_response)`` works without an import.
"""
