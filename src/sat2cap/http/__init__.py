"""Requests to other people's servers: the policy that all follow, a client, and secrets in addresses."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
