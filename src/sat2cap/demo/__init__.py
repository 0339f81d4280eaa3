"""The whole story on the miniature world: pairs, training, atlases, maps, figures and a page."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
