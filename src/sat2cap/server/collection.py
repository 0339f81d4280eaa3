"""The atlases that a server offers, by the names in its addresses."""

import re
import time
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sat2cap.api import OpenAtlas
from sat2cap.api import open as open_atlas
from sat2cap.atlas import Version, atlas_folders, is_atlas, read_version
from sat2cap.catalogue import has_shipped_captioner, resolve_captioner
from sat2cap.errors import AtlasError, InputError, ModelError, Sat2CapError, StoreError
from sat2cap.extras import has_extra, require_extra
from sat2cap.query import PREPARED_MANIFEST
from sat2cap.stores import Store, is_remote, open_store

if TYPE_CHECKING:
    from sat2cap.model import Captioner, Checkpoint


_RETRY_S = 2.0
"""Seconds after which a broken atlas is tried again: its model may have come meanwhile."""
_RETRY_SHARE = 10
"""How much longer than the trial itself an atlas waits for the next one, where that takes long."""


class UnknownAtlasError(AtlasError):
    """A name that no atlas of this server has."""


@dataclass(frozen=True)
class ServedAtlas:
    """One atlas, opened, or the reason why it cannot be."""

    slug: str
    """Its name in addresses: lower-case letters, digits and hyphens."""
    store: Store
    """Where it is."""
    opened: OpenAtlas | None
    problem: str = ""
    """Why it cannot be used, in one line; empty if it can."""
    version: Version = ()
    """State of the atlas on disk: what is cached holds for this version only."""
    unfinished: str = ""
    """The sentence that it is not finished and how much of it is, as of this version; empty if it is."""

    @property
    def title(self) -> str:
        """The name of its folder or address, without what ends it."""
        return Path(self.store.base_name).stem


class AtlasCollection:
    """Atlases that are opened when first asked for, and again when they have changed on disk.

    Threads may share it. A broken atlas does not affect the others, and is tried again now and then.
    """

    def __init__(
        self,
        paths: Sequence[Path | str | Store],
        model: "str | Path | Checkpoint | None" = None,
        text: str | Path | None = None,
        captioner: str | Path | None = None,
    ) -> None:
        """`paths` are atlases, or folders that hold some, at most one folder deeper. Raises `InputError`.

        An address, such as ``s3://bucket/x.zarr``, is that of one atlas.
        """
        self._model, self._text = model, text
        self._stores = _assign_slugs(_find_atlases(paths))
        self._locks = {slug: Lock() for slug in self._stores}
        self._opened: dict[str, ServedAtlas] = {}
        self._retry_at_s: dict[str, float] = {}
        self._captioner = captioner
        self._captioners: dict[str, tuple[Version, Captioner]] = {}

    @property
    def slugs(self) -> list[str]:
        """The names of all atlases, in the order they were given."""
        return list(self._stores)

    def describe(self, slug: str) -> ServedAtlas:
        """Return an atlas by its name in addresses: opened, or with its problem.

        One that was changed on disk since is opened again, and so is a broken one a moment later, as what it
        lacks may lie elsewhere, such as its model. Raises `UnknownAtlasError` for a name that is not served.
        """
        store = self._stores.get(slug)
        if store is None:
            raise UnknownAtlasError(f"there is no atlas {slug!r} here; it is one of {', '.join(self.slugs)}")
        version = self._read_version(slug, store)
        with self._locks[slug]:  # one of its own: an atlas that opens slowly keeps no other waiting
            served = self._opened.get(slug)
            if served is None or served.version != version or self._is_due_again(served):
                served = self._opened[slug] = self._open(slug, store, version)
        return served

    def get(self, slug: str) -> ServedAtlas:
        """Return an atlas that can be asked.

        Raises `AtlasError` if it is broken, and `UnknownAtlasError` for a name that is not served.
        """
        served = self.describe(slug)
        if served.opened is None:
            raise AtlasError(served.problem)
        return served

    def hide_paths(self, sentence: str) -> str:
        """Return a sentence that names atlases where it had their paths, which are nobody's business."""
        for store in sorted(self._stores.values(), key=lambda store: -len(store.name)):
            sentence = sentence.replace(store.name, store.base_name)
        return sentence

    def has_captioner(self, served: ServedAtlas) -> bool:
        """Return whether places of an atlas can be captioned; imports no networks."""
        assert served.opened is not None
        if not has_extra("embed"):
            return False
        return self._captioner is not None or has_shipped_captioner(served.opened.query_model)

    def load_captioner(self, served: ServedAtlas) -> "Captioner":
        """Return the captioner of an atlas, which is loaded with the first caption and then kept.

        Raises `ModelError` if there is none for the atlas's model, and `MissingExtraError` without torch.
        """
        assert served.opened is not None
        require_extra("embed", "a caption")
        if not self.has_captioner(served):
            raise ModelError("no captioner is here for this atlas's model; start the server with --captioner")
        with self._locks[served.slug]:
            version, captioner = self._captioners.get(served.slug, ((), None))
            if captioner is None or version != served.version:
                captioner = resolve_captioner(self._captioner, served.opened.checkpoint)
                self._captioners[served.slug] = served.version, captioner
        return captioner

    def _open(self, slug: str, store: Store, version: Version) -> ServedAtlas:
        """Open an atlas for queries; one that cannot be used is served with the reason."""
        start_s = time.monotonic()
        try:
            opened = open_atlas(store, self._model, self._text)
            opened = replace(opened, map_crs=opened.picture_crs)
            _ = opened.map_grid  # one that is too large for a map shows here, too
            opened.scan.expect_many()  # loads the model and the cells: a problem shows here, not later
            opened.query_model.expect_many()
            unfinished = self.hide_paths(opened.explain_unfinished())
        except (Sat2CapError, OSError) as error:
            problem = self.hide_paths(" ".join(str(error).split()))
            end_s = time.monotonic()
            self._retry_at_s[slug] = end_s + max(_RETRY_S, _RETRY_SHARE * (end_s - start_s))
            return ServedAtlas(slug, store, None, problem, version)
        return ServedAtlas(slug, store, opened, "", version, unfinished)

    def _is_due_again(self, served: ServedAtlas) -> bool:
        """Return whether an atlas is broken, and was last tried long enough ago."""
        return served.opened is None and time.monotonic() >= self._retry_at_s[served.slug]

    def _read_version(self, slug: str, store: Store) -> Version:
        """Return the state of an atlas where it is stored, that of all its parts if it has several.

        It is empty for a bucket or server that does not tell, so that opening it says why.
        """
        if store.folder is not None:
            places: list[Path | Store] = [*atlas_folders(store.folder)]
        else:
            served = self._opened.get(slug)
            opened = None if served is None else served.opened
            # the stores that are open already know of changes without being asked each time
            places = [store] if opened is None else [part.store for part in opened.atlas.members]
        with suppress(StoreError):
            return tuple(stamp for place in places for stamp in read_version(place, PREPARED_MANIFEST))
        return ()


def _find_atlases(paths: Sequence[Path | str | Store]) -> list[Store]:
    """Return the atlases among paths and in the folders among them. Raises `InputError` if there is none."""
    atlases: list[Path | str | Store] = []
    for place in paths:
        if not isinstance(place, Path | str) or is_remote(place):
            atlases.append(place)
            continue
        path = Path(place)
        if is_atlas(path) or path.suffix == ".zarr":
            atlases.append(path)
        elif path.is_dir():
            atlases += _atlases_in(path)
        else:
            raise InputError(
                f"{str(path)!r} is neither an atlas nor a folder; give one made by: sat2cap embed"
            )
    if not atlases:
        raise InputError(f"no atlas in {', '.join(map(str, paths))}; make one with: sat2cap embed")
    return [open_store(place) for place in atlases]


def _atlases_in(folder: Path) -> list[Path]:
    """Return the atlases in a folder, and in the folders in it, such as those of a demo, by name."""
    children = sorted(folder.iterdir(), key=lambda child: child.stem)
    atlases = [child for child in children if is_atlas(child)]
    for child in children:
        if child not in atlases and child.is_dir():
            atlases += sorted(filter(is_atlas, child.iterdir()), key=lambda path: path.stem)
    return atlases


def _assign_slugs(stores: Sequence[Store]) -> dict[str, Store]:
    """Return each store by a name of its own for addresses, such as ``the-netherlands-2`` for the second."""
    slugs: dict[str, Store] = {}
    for store in stores:
        plain = (
            unicodedata.normalize("NFKD", Path(store.base_name).stem)
            .encode("ascii", "ignore")
            .decode()
            .lower()
        )
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "atlas"
        number = 1
        while (name := slug if number == 1 else f"{slug}-{number}") in slugs:
            number += 1
        slugs[name] = store
    return slugs
