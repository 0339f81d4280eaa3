from .atlas import OpenAtlas as OpenAtlas
from .atlas import open as open
from .atlas import save as save
from .jobs import build_pairs as build_pairs
from .jobs import embed as embed
from .jobs import load_model as load_model
from .jobs import train as train
