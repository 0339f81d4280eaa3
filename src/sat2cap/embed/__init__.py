"""A region's imagery to an atlas: the long job."""

from sat2cap.embed.job import embed_atlas, embed_region
from sat2cap.embed.plan import plan_atlas
from sat2cap.embed.repair import fill_atlas

__all__ = ["embed_atlas", "embed_region", "fill_atlas", "plan_atlas"]
