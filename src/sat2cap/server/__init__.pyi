from .collection import AtlasCollection as AtlasCollection
from .running import run_server as run_server
from .running import serve as serve
from .settings import ServerSettings as ServerSettings
