"""A made-up planet from a seed, photographed from above and from the ground, whose truth is known."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
