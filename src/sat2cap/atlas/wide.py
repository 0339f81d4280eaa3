"""A wide atlas: several UTM zones, each an ordinary atlas, in one folder that is opened as one atlas. ::

wide.zarr/zarr.json              a Zarr group, whose members are the parts
wide.zarr/_sat2cap/wide.json     the manifest
wide.zarr/utm31n/                the part in UTM zone 31 north, an atlas that can be opened alone
wide.zarr/utm32n/ …

A part has every cell of its zone's grid that touches the region within the zone, cells across the zone's edge
included. A place belongs to the zone that it lies in, and there to the one cell that holds it; a cell, where
cells are counted or ranked, belongs to the zone that its centre lies in.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.atlas.reader import Atlas
from sat2cap.atlas.wide_manifest import wide_identity
from sat2cap.errors import AtlasError
from sat2cap.files import digest
from sat2cap.geo import UtmZone, cells_in_zone, utm_codes
from sat2cap.stores import Store


@dataclass(frozen=True, eq=False)
class WidePart:
    """The cells of a wide atlas in one UTM zone."""

    zone: UtmZone
    atlas: Atlas

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """Which cells have their centre in the zone, bool `[y, x]`: each cell of the globe in one part."""
        return cells_in_zone(self.atlas.plain_grid, self.zone)


class WideAtlas(Atlas):
    """An opened wide atlas.

    It answers what does not need one grid; all else raises `AtlasError`, which names the parts.
    """

    parts: tuple[WidePart, ...]
    """From west to east."""

    def __init__(self, store: Store, parts: tuple[WidePart, ...]) -> None:
        object.__setattr__(self, "store", store)
        object.__setattr__(self, "parts", parts)

    def __repr__(self) -> str:
        return f"WideAtlas({self.name!r}, {', '.join(part.zone.name for part in self.parts)})"

    @property
    def members(self) -> tuple[Atlas, ...]:
        """The ordinary atlases that it consists of."""
        return tuple(part.atlas for part in self.parts)

    @property
    def spec(self) -> NoReturn:  # whatever needs one grid ends here
        """Raise `AtlasError`: there is no one grid."""
        names = [member.name for member in self.members]
        raise AtlasError(
            f"atlas {self.name!r} lies in {len(names)} UTM zones, and this needs one grid; "
            f"give one of its parts, such as {names[0]}"
        )

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.members[0].dim

    @property
    def identity(self) -> str:
        """Hash of the identities of the parts."""
        return wide_identity({part.zone: part.atlas.identity for part in self.parts})

    @property
    def fingerprint(self) -> str:
        """Hash of the current content of all parts."""
        return digest(*(member.fingerprint for member in self.members))

    @property
    def model(self) -> dict[str, Any]:
        """``identity``, ``source`` and ``card`` of the model, which is that of every part."""
        return self.members[0].model

    @property
    def imagery(self) -> dict[str, Any]:
        """The imagery's record, which is that of every part."""
        return self.members[0].imagery

    @property
    def attribution(self) -> str:
        """Whom to credit for the imagery."""
        return self.members[0].attribution

    @property
    def licence(self) -> str:
        """Licence of the imagery."""
        return self.members[0].licence

    @property
    def complete(self) -> bool:
        """Whether every part is finished."""
        return all(member.complete for member in self.members)

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """Which of the parts' N cells are the region's, with their centre in the part's zone: shape (N,)."""
        return np.concatenate([(part.atlas.wanted & part.owned).ravel() for part in self.parts])

    @property
    def status(self) -> NDArray[np.uint8]:
        """`CellStatus` of the cells of all parts, uint8, shape (N,), in the order of `wanted`."""
        return np.concatenate([member.status.ravel() for member in self.members])

    def read_places(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float32]:
        """Return the embeddings at N places in degrees, float32 `[N, D]`, not normalised.

        Each is read in the UTM zone that the place lies in; NaN where there is no embedding.
        """
        lon, lat = np.ravel(np.asarray(lon, float)), np.ravel(np.asarray(lat, float))
        codes = utm_codes(lon, lat)
        values = np.full((lon.size, self.dim), np.nan, np.float32)
        for part in self.parts:
            in_zone = codes == part.zone.epsg
            values[in_zone] = part.atlas.read_places(lon[in_zone], lat[in_zone])
        return values

    def part_at(self, lon: float, lat: float) -> WidePart | None:
        """Return the part of the UTM zone that a place in degrees lies in; None if the atlas lacks it."""
        code = int(utm_codes(lon, lat))
        return next((part for part in self.parts if part.zone.epsg == code), None)
