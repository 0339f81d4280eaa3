"""What an atlas is to be: its specification, and the identity under which work may be resumed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS, CRSError
from odc.geo.geobox import GeoBox

from sat2cap.atlas.layout import PLAN
from sat2cap.errors import AtlasError
from sat2cap.files import canonical_json, digest

FORMAT = "sat2cap-atlas"
VERSION = 1
"""Goes up when an older reader would misread; docs/atlas.md says what changed."""
MASK = "wanted/c/0/0"
USER_SPEC_KEY = "given"
"""Where the model's card and the imagery's record keep what the user wrote to name them."""


@dataclass(frozen=True, eq=False)  # compare identities
class AtlasSpec:
    """Everything that decides the bytes of an atlas."""

    grid: GeoBox
    """One pixel a cell."""
    wanted: NDArray[np.bool_]
    """Cells to embed, bool [y, x]."""
    dim: int
    """Length of an embedding."""
    dtype: Literal["int8", "float16"]
    """How embeddings are stored."""
    model: dict[str, Any]
    """``identity``, ``source`` and ``card``, as plain JSON values."""
    imagery: dict[str, Any]
    """`ImageryInfo.as_dict()`."""
    patch_m: float
    """Side of the ground seen for one cell, in metres."""
    patch_pixels: int
    """Pixels of that side, as the model was given it."""
    chunk: int = 32
    """Cells a side of the unit of work."""

    def __post_init__(self) -> None:
        if self.wanted.shape != tuple(self.grid.shape):
            shapes = f"{list(self.wanted.shape)}, the grid {list(self.grid.shape)}"
            raise AtlasError(f"the mask of wanted cells is {shapes}; make both from one grid")
        if not self.wanted.any():
            raise AtlasError("no cell is wanted, so there is nothing to embed; check region and cell size")
        if self.dtype not in ("int8", "float16"):
            raise AtlasError(f"embeddings cannot be stored as {self.dtype!r}; use int8 or float16")
        for name, record in (("model", self.model), ("imagery", self.imagery)):
            if not record.get("identity"):
                raise AtlasError(f"the {name} has no identity, so resuming could mix two; give it one")

    @property
    def parts(self) -> dict[str, Any]:
        """What the identity is made of, by name."""
        return {
            "grid": _grid_json(self.grid),
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
        """SHA-256 of `parts` and the format's version; work of another identity is never mixed in."""
        return digest(FORMAT, str(VERSION), canonical_json(self.parts))

    def as_json(self) -> dict[str, Any]:
        """The plan file: everything but the mask, which is an array of its own."""
        provenance = {"model": self.model, "imagery": self.imagery}
        head = {"format": FORMAT, "version": VERSION, "identity": self.identity}
        return head | {"parts": self.parts, "provenance": provenance}


def read_plan(path: Path) -> AtlasSpec:
    """The specification of the atlas at `path`. Raises `AtlasError` if it is none, or newer."""
    plan = _read_json(path)
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise AtlasError(f"{str(path)!r} is not an atlas; make one with: sat2cap embed REGION -o {path}")
    if plan.get("version", 0) > VERSION:
        rule = f"has format version {plan['version']}, this sat2cap reads up to {VERSION}"
        raise AtlasError(f"atlas {str(path)!r} {rule}; install a newer sat2cap")
    try:
        spec = _spec_from_json(path, plan["parts"], plan["provenance"])
        same = spec.identity == plan["identity"]
    except (AtlasError, OSError, ValueError, KeyError, TypeError, CRSError):
        same = False
    if not same:
        raise AtlasError(f"atlas {str(path)!r}: its plan and mask are damaged; remove it and embed anew")
    return spec


def is_atlas(path: Path) -> bool:
    """Whether there is an atlas at `path`, finished or not."""
    return (path / PLAN).is_file()


def check_free(path: Path) -> None:
    """Raise `AtlasError` unless `path` holds an atlas, or nothing: also when a kill came before its plan."""
    begun = {PLAN.split("/")[0], MASK.split("/")[0]}
    if not path.exists() or is_atlas(path):
        return
    if not (path.is_dir() and {entry.name for entry in path.iterdir()} <= begun):
        raise AtlasError(f"{str(path)!r} exists and is not an atlas; choose another path")


def differing_parts(old: AtlasSpec, new: AtlasSpec) -> list[str]:
    """Names of the parts in which two specifications differ, with both values where people chose them."""
    one, other = old.parts, new.parts
    names = [name for name in one if one[name] != other[name]]
    chosen = [
        f"{name} {old.model[name]}, now {new.model[name]}"
        for name in ("precision", "max_missing")
        if name in old.model and name in new.model and old.model[name] != new.model[name]
    ]
    if chosen and old.model.get("place_identity") == new.model.get("place_identity"):
        names = [name for name in names if name != "model"] + chosen
    return names


def _read_json(path: Path) -> Any:
    try:
        return json.loads((path / PLAN).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        rule = "is not an atlas" if path.exists() else "does not exist"
        raise AtlasError(f"{str(path)!r} {rule}; make one with: sat2cap embed REGION -o {path}") from None
    except (OSError, ValueError) as error:
        raise AtlasError(f"atlas {str(path)!r}: its plan cannot be read ({error}); embed anew") from None


def _spec_from_json(path: Path, parts: dict[str, Any], provenance: dict[str, Any]) -> AtlasSpec:
    grid = GeoBox(tuple(parts["grid"]["shape"]), Affine(*parts["grid"]["affine"]), CRS(parts["grid"]["crs"]))
    return AtlasSpec(
        grid=grid,
        wanted=np.fromfile(path / MASK, dtype=bool).reshape(tuple(grid.shape)),
        dim=parts["dim"],
        dtype=parts["dtype"],
        model=provenance["model"],
        imagery=provenance["imagery"],
        patch_m=parts["patch_m"],
        patch_pixels=parts["patch_pixels"],
        chunk=parts["chunk"],
    )


def _grid_json(grid: GeoBox) -> dict[str, Any]:
    return {
        "crs": str(grid.crs),
        "affine": [float(n) for n in tuple(grid.affine)[:6]],
        "shape": list(grid.shape),
    }
