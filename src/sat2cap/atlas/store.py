"""The atlas as the rest of the package uses it; each name is explained where it is made."""

from sat2cap.atlas.layout import STATUS_MEANINGS, CellStatus, Chunk
from sat2cap.atlas.lock import only_writer
from sat2cap.atlas.plan import GIVEN, AtlasSpec, differences, is_atlas
from sat2cap.atlas.reader import Atlas, open_atlas
from sat2cap.atlas.verify import Problem, repair, verify
from sat2cap.atlas.writer import AtlasWriter, create_or_resume, still_pending

__all__ = [
    "GIVEN",
    "STATUS_MEANINGS",
    "Atlas",
    "AtlasSpec",
    "AtlasWriter",
    "CellStatus",
    "Chunk",
    "Problem",
    "create_or_resume",
    "differences",
    "is_atlas",
    "only_writer",
    "open_atlas",
    "repair",
    "still_pending",
    "verify",
]
