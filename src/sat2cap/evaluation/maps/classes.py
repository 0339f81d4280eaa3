"""Classes of a land cover that maps are compared with: the values of a reference, and prompts for each.

A file of classes, or one that ships (`SCHEMES`); see docs/evaluate.md. `evaluate.maps.class_shares` reads the
reference.
"""

from collections import Counter
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from pydantic import Field, model_validator

from sat2cap.catalogue import find_world
from sat2cap.config import Section, load
from sat2cap.errors import InputError
from sat2cap.files import digest_file
from sat2cap.geo import When, parse_when

Value = int | str

_FOLDER = Path(__file__).parent / "schemes"
SCHEMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
"""Classes that ship: which values of a well-known land cover are what."""


@dataclass(frozen=True)
class LandClass:
    """One kind of land, and the words for it."""

    name: str
    values: tuple[Value, ...]
    """Values of the reference that are this class; empty for a class with a truth of its own."""
    prompts: tuple[str, ...]
    """Words for the class, scored together as one prompt."""
    when: When | None
    threshold: float
    """A cell is positive when at least this share of it is of the class."""
    truth: str
    """A raster, or ``miniworld:SEED/CONCEPT``, where the land cover does not say; empty otherwise."""


@dataclass(frozen=True)
class Classes:
    """A reference and how to read it."""

    reference: str
    column: str
    """Column of a file of polygons that holds their value."""
    layer: str | None
    classes: tuple[LandClass, ...]


class _ClassEntry(Section):
    name: str = Field(min_length=1)
    values: list[Value] = Field(default_factory=list)
    prompts: list[str] = Field(min_length=1)
    when: str | None = None
    threshold: float = 0.5
    truth: str = ""

    @model_validator(mode="after")
    def _check_values_or_truth(self) -> "_ClassEntry":
        if bool(self.values) == bool(self.truth):
            raise ValueError(f"({self.name!r}) must have either values or a truth")
        return self


class _ClassFile(Section):
    reference: str = ""
    column: str = ""
    layer: str | None = None
    class_: list[_ClassEntry] = Field(min_length=2, alias="class")

    @model_validator(mode="after")
    def _check_unique(self) -> "_ClassFile":
        """Check that no name and no value is repeated, as metrics are named after classes."""
        for what, all_of_them in (
            ("name", [entry.name for entry in self.class_] + ["mean"]),
            ("value", [value for entry in self.class_ for value in entry.values]),
        ):
            for text, times in Counter(all_of_them).items():
                if times > 1:
                    taken = " (it is what the means over all classes are called)" if text == "mean" else ""
                    raise ValueError(f"{what} {text!r} may stand only once{taken}")
        return self


def load_classes(spec: Path | str, reference: str | None = None) -> Classes:
    """Load classes by the name of a scheme or from a file; `reference` replaces the one that it names.

    Paths in a file are relative to it. Raises `InputError` with every problem, `WhenError` for a date.
    """
    ships = str(spec) in SCHEMES
    path = _FOLDER / f"{spec}.toml" if ships else Path(spec)
    form = f"write [[class]] tables, see docs/evaluate.md, or give one of {', '.join(SCHEMES)}"
    parsed = load(path, _ClassFile, InputError, kind="classes", hint=form)
    where = reference if reference is not None else resolve_reference(path.parent, parsed.reference)
    if not where:
        raise InputError(f"classes {str(spec)!r} name no reference; give its file with --reference")
    classes = tuple(
        LandClass(
            entry.name,
            tuple(entry.values),
            tuple(entry.prompts),
            None if entry.when is None else parse_when(entry.when),
            entry.threshold,
            resolve_reference(path.parent, entry.truth),
        )
        for entry in parsed.class_
    )
    return Classes(where, parsed.column, parsed.layer, classes)


def reference_identity(classes: Classes) -> list[object]:
    """Return what the shares of classes depend on, as plain values: classes and hashes of their files."""
    named = [classes.reference, *(kind.truth for kind in classes.classes if kind.truth)]
    return [*map(_content_identity, named), classes.column, classes.layer, repr(classes.classes)]


def _content_identity(name: str) -> object:
    """Return the hash of a file's bytes, of all parts of a shapefile; the name of what is no file here."""
    path = Path(name)
    if not path.is_file():
        return name
    parts = sorted(path.parent.glob(f"{escape(path.stem)}.*")) if path.suffix.lower() == ".shp" else [path]
    return [digest_file(part) for part in parts]


def resolve_reference(folder: Path, name: str) -> str:
    """Return the name of a reference in a file of `folder`, its path made relative to that folder.

    URLs, names of the miniature world and the empty name are returned as they are. Raises `ImageryError`
    for a planet without a number.
    """
    is_path = bool(name) and "://" not in name and find_world(name.partition("/")[0]) is None
    return str(folder / name) if is_path else name
