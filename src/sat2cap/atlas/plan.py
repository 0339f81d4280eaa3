"""The plan of an atlas: its specification, and the identity that must be the same to resume work."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from sat2cap.atlas.plan_files import read_plan_bytes
from sat2cap.atlas.presence import PLAN, how_to_get_one, is_atlas, is_wide_atlas, missing_atlas_error
from sat2cap.errors import AtlasError
from sat2cap.files import canonical_json, digest, parse_own_json
from sat2cap.geo import PlainGrid
from sat2cap.stores import Store, open_store

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

FORMAT = "sat2cap-atlas"
VERSION = 1
"""Format version; it rises when an older reader would misread. docs/atlas.md lists the changes."""
MASK = "wanted/c/0/0"
"""Path of the mask of wanted cells, the single chunk of its array."""
USER_SPEC_KEY = "given"
"""Key in the model's card and the imagery's record for what the user wrote to name them."""


@dataclass(frozen=True, eq=False)  # compare identities
class AtlasSpec:
    """Everything that decides the bytes of an atlas, and the provenance of model and imagery."""

    grid: "GeoBox"
    """Grid with one pixel per cell."""
    wanted: NDArray[np.bool_]
    """Mask of the cells to embed, bool `[y, x]`."""
    dim: int
    """Length of an embedding."""
    dtype: Literal["int8", "float16"]
    """Type in which embeddings are stored."""
    model: dict[str, Any]
    """``identity``, ``source`` and ``card``, as plain JSON values."""
    imagery: dict[str, Any]
    """The imagery's record, as `ImageryInfo.as_dict()` returns it."""
    patch_m: float
    """Side in metres of the ground patch embedded for one cell."""
    patch_pixels: int
    """Side of the patch in pixels, as the model sees it."""
    chunk: int = 32
    """Side of a chunk in cells."""

    def __post_init__(self) -> None:
        if self.wanted.shape != self.plain_grid.shape:
            shapes = f"{list(self.wanted.shape)}, the grid {list(self.plain_grid.shape)}"
            raise AtlasError(f"the mask of wanted cells is {shapes}; make both from one grid")
        if not self.wanted.any():
            raise AtlasError("no cell is wanted, so there is nothing to embed; check region and cell size")
        if self.dtype not in ("int8", "float16"):
            raise AtlasError(f"embeddings cannot be stored as {self.dtype!r}; use int8 or float16")
        for name, record in (("model", self.model), ("imagery", self.imagery)):
            if not record.get("identity"):
                raise AtlasError(f"the {name} has no identity, so resuming could mix two; give it one")

    @property
    def plain_grid(self) -> PlainGrid:
        """`grid` as plain numbers."""
        return PlainGrid.of(self.__dict__["_grid"])

    @property
    def parts(self) -> dict[str, Any]:
        """Named parts of the identity, as plain JSON values."""
        return {
            "grid": _grid_json(self.plain_grid),
            "cells": digest(np.packbits(self.wanted).tobytes()),
            "dim": self.dim,
            "dtype": self.dtype,
            "chunk": self.chunk,
            "model": self.model["identity"],
            "imagery": self.imagery["identity"],
            "patch_m": self.patch_m,
            "patch_pixels": self.patch_pixels,
        }

    @property
    def identity(self) -> str:
        """SHA-256 of `parts` and the format's version; work of another identity is never mixed."""
        return digest(FORMAT, str(VERSION), canonical_json(self.parts))

    def as_json(self) -> dict[str, Any]:
        """Return the content of ``plan.json``: everything but the mask of cells, an array of its own.

        Keys: ``format``, ``version``, ``identity``, ``parts`` (what the identity is a hash of) and
        ``provenance``.
        """
        provenance = {"model": self.model, "imagery": self.imagery}
        head = {"format": FORMAT, "version": VERSION, "identity": self.identity}
        return head | {"parts": self.parts, "provenance": provenance}


class _GridField:
    """The field `grid` of a specification: a `GeoBox` or `PlainGrid` is put in, and a `GeoBox` comes out.

    The `GeoBox` is made when it is first asked for, since importing odc-geo takes longer than a map.
    """

    def __get__(self, spec: AtlasSpec, owner: type) -> "GeoBox":
        grid = spec.__dict__["_grid"]
        if isinstance(grid, PlainGrid):
            grid = spec.__dict__["_grid"] = grid.as_geobox()
        return grid

    def __set__(self, spec: AtlasSpec, grid: "GeoBox | PlainGrid") -> None:
        spec.__dict__["_grid"] = grid


AtlasSpec.grid = _GridField()  # put here, as dataclasses takes it for a default


def read_plan(store: Store) -> AtlasSpec:
    """Return the specification of the atlas in a store.

    Raises `AtlasError` if there is no atlas, its format is newer, or its plan or mask is damaged.
    """
    plan, name = _read_json(store), store.name
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise AtlasError(f"{name!r} is not an atlas; {how_to_get_one(store)}")
    if not isinstance(plan.get("version"), int):
        raise AtlasError(f"atlas {name!r} does not say its format version; remove it and embed anew")
    if plan["version"] > VERSION:
        rule = f"has format version {plan['version']}, this sat2cap reads up to {VERSION}"
        raise AtlasError(f"atlas {name!r} {rule}; install a newer sat2cap")
    try:
        spec = spec_from_json(store.get(MASK), plan["parts"], plan["provenance"])
        sound = spec.identity == plan["identity"]
    except (AtlasError, OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        sound = False
    if not sound:
        raise AtlasError(f"atlas {name!r}: its plan and mask are damaged; remove it and embed anew")
    return spec


def check_free(place: Path | str | Store) -> None:
    """Raise `AtlasError` unless an atlas may be written in a store.

    It may if there is an atlas or nothing, or only what a killed writer leaves before the plan. Raises
    `StoreError` for a web server, and if a bucket does not answer or refuses.
    """
    store = open_store(place)
    first_names = {PLAN.split("/")[0], MASK.split("/")[0]}
    if is_wide_atlas(store):
        rule = "is an atlas of several UTM zones, and this is one in one CRS"
        raise AtlasError(f"{store.name!r} {rule}; choose another path, or give --crs utm")
    try:
        is_free = all(name in first_names for name in store.names())
    except NotADirectoryError:
        is_free = False
    if not (is_free or is_atlas(store)):
        raise AtlasError(f"{store.name!r} exists and is not an atlas; choose another path")


def differing_parts(old: AtlasSpec, new: AtlasSpec) -> list[str]:
    """Return the names of the parts in which two specifications differ, for an error message.

    If only settings of the model differ that people choose (precision, largest missing share), these are
    named with both values in place of the model.
    """
    old_parts, new_parts = old.parts, new.parts
    names = [name for name in old_parts if old_parts[name] != new_parts[name]]
    chosen = [
        f"{name} {old.model[name]}, now {new.model[name]}"
        for name in ("precision", "max_missing")
        if name in old.model and name in new.model and old.model[name] != new.model[name]
    ]
    if chosen and old.model.get("place_identity") == new.model.get("place_identity"):
        names = [name for name in names if name != "model"] + chosen
    return names


def _read_json(store: Store) -> Any:
    """Return the JSON value in the plan file. Raises `AtlasError` if it cannot be read."""
    try:
        plan = read_plan_bytes(store)
        if plan is not None:
            return parse_own_json(plan)
    except (OSError, ValueError) as error:
        raise AtlasError(f"atlas {store.name!r}: its plan cannot be read ({error}); embed anew") from None
    raise missing_atlas_error(store)


def spec_from_json(mask: bytes, parts: dict[str, Any], provenance: dict[str, Any]) -> AtlasSpec:
    """Return the specification of which `AtlasSpec.as_json` gave `parts` and `provenance`.

    `mask` has a byte for each cell, row by row. Raises whatever damaged values lead to.
    """
    rows, cols = (int(size) for size in parts["grid"]["shape"])
    grid = PlainGrid((rows, cols), Affine(*parts["grid"]["affine"]), str(parts["grid"]["crs"]))
    return AtlasSpec(
        grid=grid,  # a GeoBox comes out, by _GridField
        wanted=(np.frombuffer(mask, np.uint8) != 0).reshape(grid.shape),
        dim=parts["dim"],
        dtype=parts["dtype"],
        model=provenance["model"],
        imagery=provenance["imagery"],
        patch_m=parts["patch_m"],
        patch_pixels=parts["patch_pixels"],
        chunk=parts["chunk"],
    )


def _grid_json(grid: PlainGrid) -> dict[str, Any]:
    """Return a grid as plain JSON values."""
    return {
        "crs": grid.crs,
        "affine": [float(n) for n in tuple(grid.affine)[:6]],
        "shape": list(grid.shape),
    }
