"""A region's embeddings on disk: a Zarr v3 group with a journal, written chunk by chunk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
