"""Overhead imagery: the protocol, and the sources that read files, tiles and STAC items."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
