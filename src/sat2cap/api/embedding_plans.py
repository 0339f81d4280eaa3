"""What embedding a region will do, settled and checked: one atlas, or one of several UTM zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.atlas import Atlas, AtlasSpec, Chunk, check_wide_free, pending_chunks
from sat2cap.geo import Region, UtmZone
from sat2cap.imagery import FailureRecordingImagery
from sat2cap.stores import Store

if TYPE_CHECKING:
    from sat2cap.engines import Engine
    from sat2cap.model import Checkpoint, Compute


@dataclass(frozen=True)
class EmbeddingPlan:
    """Everything that decides an atlas, checked, with what it is made from."""

    region: Region
    """The area whose cells are wanted."""
    source: FailureRecordingImagery
    """The imagery, which remembers why reading it first failed."""
    checkpoint: Checkpoint
    """The model, on the device that computes."""
    compute: Compute
    """Device and precision."""
    spec: AtlasSpec
    """The atlas as it will be."""
    out: Store
    """Where it is written."""

    @property
    def parts(self) -> tuple[EmbeddingPlan, ...]:
        """The atlases in one CRS that will be written: this one.

        With it, callers treat this plan and a `WideEmbeddingPlan` alike.
        """
        return (self,)

    def pending(self) -> list[Chunk]:
        """Return the chunks that are still to be computed, in the order of the grid.

        For a new atlas these are all of them. Raises `AtlasError` if the atlas at `out` was made from
        something else, naming what differs.
        """
        return pending_chunks(self.out, self.spec)

    def run(self, progress: ProgressLike = None, engine: Engine | None = None) -> Atlas:
        """Embed what is pending, by `engine` or in this process, and return the atlas.

        Raises `AtlasError`, `JobError`.
        """
        from sat2cap.embedding import embed_atlas

        with listening(progress) as report:
            return embed_atlas(
                self.spec, self.source, self.checkpoint, self.out, engine=engine, progress=report
            )


@dataclass(frozen=True)
class WideEmbeddingPlan:
    """Everything that decides an atlas of several UTM zones; its members are those of `EmbeddingPlan`."""

    by_zone: Mapping[UtmZone, EmbeddingPlan]
    """The part in each zone, from west to east."""
    out: Store
    """Where the atlas is written; the parts lie in it."""

    @property
    def parts(self) -> tuple[EmbeddingPlan, ...]:
        """The atlases in one CRS that will be written, one for each zone."""
        return tuple(self.by_zone.values())

    @property
    def region(self) -> Region:
        """The area whose cells are wanted."""
        return self.parts[0].region

    @property
    def source(self) -> FailureRecordingImagery:
        """The imagery, which remembers why reading it first failed."""
        return self.parts[0].source

    @property
    def checkpoint(self) -> Checkpoint:
        """The model, on the device that computes."""
        return self.parts[0].checkpoint

    @property
    def compute(self) -> Compute:
        """Device and precision."""
        return self.parts[0].compute

    @property
    def specs(self) -> dict[UtmZone, AtlasSpec]:
        """The specification of the part in each UTM zone, with its grid, cells, model and imagery."""
        return {zone: part.spec for zone, part in self.by_zone.items()}

    def pending(self) -> list[Chunk]:
        """Return the chunks of all parts that are still to be computed.

        Raises `AtlasError` for another atlas at `out`.
        """
        check_wide_free(self.out, self.specs)
        return [chunk for part in self.parts for chunk in part.pending()]

    def run(self, progress: ProgressLike = None, engine: Engine | None = None) -> Atlas:
        """Embed what is pending in every zone, and return the finished atlas.

        Arguments and errors are those of `EmbeddingPlan.run`. A stopped run is continued by the same call.
        """
        from sat2cap.embedding import embed_wide_atlas

        with listening(progress) as report:
            return embed_wide_atlas(
                self.specs, self.source, self.checkpoint, self.out, engine=engine, progress=report
            )
