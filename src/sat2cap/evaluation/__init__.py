"""How good a model and its maps are: pure metrics, and evaluations that yield ``(name, value)``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
