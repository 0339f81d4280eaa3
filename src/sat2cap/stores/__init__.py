"""Where atlases lie: a folder, a bucket or a web server, read and written by one protocol."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
