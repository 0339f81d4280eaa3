from . import evaluate as evaluate
from .api import OpenAtlas as OpenAtlas
from .api import build_pairs as build_pairs
from .api import embed as embed
from .api import load_model as load_model
from .api import open as open
from .api import save as save
from .api import train as train
from .errors import Sat2CapError as Sat2CapError
from .pairs import open_pairs as open_pairs
from .report import write_report as write_report

__version__: str
