"""Where and when, as values and arithmetic: regions, grids of cells, dates. Only region files are read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
