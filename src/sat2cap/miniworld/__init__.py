"""A made-up planet from a seed, seen from above and in photos, whose truth is known: the miniature world."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
