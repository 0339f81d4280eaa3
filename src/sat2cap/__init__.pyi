from . import evaluate as evaluate
from .api import OpenAtlas as OpenAtlas
from .api import build_pairs as build_pairs
from .api import calibrate_model as calibrate_model
from .api import convert_model as convert_model
from .api import embed as embed
from .api import export_model as export_model
from .api import list_models as list_models
from .api import load_model as load_model
from .api import open as open
from .api import open_imagery as open_imagery
from .api import plan_embedding as plan_embedding
from .api import publish as publish
from .api import repair as repair
from .api import save as save
from .api import train as train
from .catalogue import open_photos as open_photos
from .demo import run_demo as run_demo
from .errors import Sat2CapError as Sat2CapError
from .pairs import open_pairs as open_pairs
from .report import write_report as write_report
from .server import serve as serve

__version__: str
