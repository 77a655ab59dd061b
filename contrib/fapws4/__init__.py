"""The name of Fapws4: ``fapws4``, ``fapws4.base``, ``fapws4.contrib.views`` …
are the very modules ``fapws``, ``fapws.base``, ``fapws.contrib.views`` …
"""
import importlib
import importlib.machinery
import sys

import fapws


class _Alias:
    """Finder and loader that import ``fapws.x`` for ``fapws4.x``."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if not name.startswith("fapws4."):
            return None
        real = "fapws" + name[len("fapws4") :]
        try:
            module = importlib.import_module(real)
        except ModuleNotFoundError as error:
            if error.name == real:
                return None  # Python then raises ModuleNotFoundError for the name fapws4.x
            raise
        return importlib.machinery.ModuleSpec(name, cls(module))

    def __init__(self, module):
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec):
        return self._module

    def exec_module(self, module):
        # The module was executed under its own name. The import system has just replaced its spec by that of the alias.
        module.__spec__ = self._spec


# Insert this finder before all others, because Python's finder for files would load a second copy of each module.
sys.meta_path.insert(0, _Alias)
sys.modules[__name__] = fapws
