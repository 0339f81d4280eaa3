"""Statistics of a score within zones, such as municipalities or parcels, exact to the share of each cell."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
