"""Looking whether an atlas is somewhere, without numpy: an error in a path should come at once."""

from pathlib import Path

from sat2cap.errors import AtlasError
from sat2cap.stores import Store, is_remote, open_store

PLAN = "_sat2cap/plan.json"
"""Path of the plan, which specifies the atlas; the first file written."""
PLAN_COPY = "_sat2cap/plan.copy.json"
"""Path of a second copy of the plan."""
PLAN_HASH = "_sat2cap/plan.sha256"
"""Path of the plan's SHA-256, a line for ``sha256sum -c``."""
WIDE_MANIFEST = "_sat2cap/wide.json"
"""Path of the manifest of a wide atlas, whose parts are atlases with plans of their own."""


def is_wide_atlas(place: Path | str | Store) -> bool:
    """Return whether there is a wide atlas somewhere, finished or not. Raises as `is_atlas` does."""
    return WIDE_MANIFEST in open_store(place).sizes([WIDE_MANIFEST])


def is_atlas(place: Path | str | Store) -> bool:
    """Return whether there is an atlas somewhere, finished or not; its plan's file may have been lost.

    Raises `StoreError` if a bucket does not say.
    """
    sizes = open_store(place).sizes([PLAN, PLAN_COPY, PLAN_HASH, WIDE_MANIFEST])
    return PLAN in sizes or WIDE_MANIFEST in sizes or {PLAN_COPY, PLAN_HASH} <= sizes.keys()


def check_atlas_exists(place: Path | str) -> None:
    """Raise `AtlasError` if a folder is not there or is no atlas, as `open_atlas` would; reads no file.

    An address of a bucket or server passes, as asking it takes a network.
    """
    if is_remote(place):
        return
    for file in (PLAN, PLAN_COPY, WIDE_MANIFEST, "zarr.json"):  # a published copy has no plan
        try:
            (Path(place) / file).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return  # `open_atlas` says what it is
        return
    raise missing_atlas_error(open_store(place))


def missing_atlas_error(store: Store) -> AtlasError:
    """Return the error for a store that holds no plan of an atlas, with the next step."""
    is_there = store.folder is None or store.folder.exists()
    rule = "is not an atlas" if is_there else "does not exist"
    return AtlasError(f"{store.name!r} {rule}; {how_to_get_one(store)}")


def how_to_get_one(store: Store) -> str:
    """Return the next step for someone who named a place where no atlas is."""
    if store.folder is None:
        return "check the address"
    return f"make one with: sat2cap embed REGION -o {store.folder}"


def how_to_repair(store: Store) -> str:
    """Return the next step for someone whose atlas is damaged."""
    if not store.can_write:
        return "copy the sound atlas there again"
    return f"run: sat2cap atlas repair {store.name}"
