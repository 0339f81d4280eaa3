"""Modules that another library imports but rarely uses, imported when they are first used."""

import sys
from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

_LOCK = RLock()


class DeferredModule(ModuleType):
    """Stands for a module until one of its attributes is asked for; then the module is imported."""

    def __getattr__(self, attribute: str) -> Any:
        """Return the attribute of the module itself; `AttributeError` if it has none."""
        name = self.__name__
        with _LOCK:
            if sys.modules.get(name) is self:
                del sys.modules[name]
            return getattr(import_module(name), attribute)


def defer_import(name: str) -> None:
    """Let ``import name`` cost nothing until something of the module is used.

    Does nothing if the module was imported before or is not installed. rasterio imports boto3 where it is
    installed, for rasters in S3, and that takes longer than a map of a city.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is not None:
        module = DeferredModule(name)
        module.__spec__ = spec  # so that others find it installed
        sys.modules[name] = module
