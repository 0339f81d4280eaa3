"""A region's imagery to an atlas: the long job."""

from sat2cap.embed.job import embed_region

__all__ = ["embed_region"]
