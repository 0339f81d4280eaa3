"""Which photo belongs to which overhead patch: screening, splits, shards, and reading them back."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
