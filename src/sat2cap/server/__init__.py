"""A live map over HTTP: prompts become layers in a page, in QGIS, in anything that reads map tiles."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
