"""Where the tasks of a long job are done: in this process, or by the workers of a Ray cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
