from .local_engine import LocalEngine as LocalEngine
from .machine import package_versions as package_versions
from .machine import processor_name as processor_name
from .protocol import Engine as Engine
from .protocol import Listener as Listener
from .ray_engine import RayEngine as RayEngine
from .run_log import RunLog as RunLog
