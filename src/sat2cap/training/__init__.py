"""The training loop of the paper, its run files, losses, queue and caches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
