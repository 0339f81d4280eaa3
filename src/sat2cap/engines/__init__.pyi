from .listeners import RetryAnnouncer as RetryAnnouncer
from .local_engine import LocalEngine as LocalEngine
from .protocol import Engine as Engine
from .protocol import Listener as Listener
from .ray_engine import RayEngine as RayEngine
