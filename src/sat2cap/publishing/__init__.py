"""Publishing an atlas on the web: a sharded Zarr group with its catalogue and checksums, for any reader."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
