"""Which photo belongs to which overhead patch: screening, splits, shards, and reading them back."""

from sat2cap.pairs.build import build_pairs
from sat2cap.pairs.dataset import Pair, PairSet, open_pairs
from sat2cap.pairs.plan import PatchSpec
from sat2cap.pairs.screening.areas import read_area
from sat2cap.pairs.screening.rules import Funnel, Rules
from sat2cap.pairs.screening.screen import screen
from sat2cap.pairs.splits.resplit import resplit
from sat2cap.pairs.splits.split import SplitPlan

__all__ = [
    "Funnel",
    "Pair",
    "PairSet",
    "PatchSpec",
    "Rules",
    "SplitPlan",
    "build_pairs",
    "open_pairs",
    "read_area",
    "resplit",
    "screen",
]
