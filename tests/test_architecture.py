"""The layers of ARCHITECTURE.md: an import only goes down, imports inside functions included."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "sat2cap"

LAYERS = """\
__main__
sat2cap
cli
server | evaluate
api
demo
report
evaluation
training | embedding | query | zones | publishing
catalogue
maps | miniworld
pairs | atlas | model
imagery | photos | stores | engines
geo | http | config | locks | pictures | extras | arguments
errors | files | progress | lookahead | display | formatting | compilation
redaction
"""
"""Top to bottom. A name imports only from lines below its own; `sat2cap` is the package's __init__."""

_FOUNDATION = {
    "redaction",
    "errors",
    "files",
    "progress",
    "lookahead",
    "display",
    "formatting",
    "http",
    "config",
    "extras",
    "arguments",
}
FORBIDDEN = {
    "torch": {*_FOUNDATION, "geo", "imagery", "photos", "pairs", "atlas", "maps", "zones", "publishing"},
    "transformers": {
        *_FOUNDATION,
        "geo",
        "imagery",
        "photos",
        "pairs",
        "atlas",
        "maps",
        "zones",
        "publishing",
    },
    "rasterio": {*_FOUNDATION, "model", "training"},
    "odc": {*_FOUNDATION, "model", "training"},
    "typer": {
        "sat2cap",
        "demo",
        "api",
        "evaluation",
        "training",
        "embedding",
        "query",
        "catalogue",
        "maps",
        "model",
    },
    "rich": {
        "sat2cap",
        "demo",
        "api",
        "evaluation",
        "training",
        "embedding",
        "query",
        "catalogue",
        "maps",
        "model",
    },
}
"""A library and the units that must not import it."""


class Import(NamedTuple):
    """One import statement's target, as an absolute dotted name."""

    module: str
    line: int
    target: str


def table(text: str) -> dict[str, int]:
    """Each unit's line number in the table, 0 at the top."""
    return {name.strip(): i for i, line in enumerate(text.splitlines()) for name in line.split("|")}


def unit(module: str) -> str:
    """The unit of the table that a module of this package belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "sat2cap"


def imports(module: str, source: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import in `source`, at any depth, absolute; ``from a import b`` counts as ``a.b``."""
    base = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            up = base[: len(base) - node.level + 1] if node.level else []
            start = ".".join([*up, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(module, node.lineno, f"{start}.{alias.name}")
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith(("import_module", "__import__"))
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield Import(module, node.lineno, str(node.args[0].value))


def fault(found: Import, layers: dict[str, int]) -> str | None:
    """What is wrong with one import, or None."""
    here, where = unit(found.module), f"{found.module}:{found.line} imports {found.target}"
    top = found.target.split(".")[0]
    if here not in layers:
        return f"{found.module}: {here} is not in the table of layers"
    if top != "sat2cap":
        return f"{where}, which {here} must not" if here in FORBIDDEN.get(top, ()) else None
    there = unit(found.target)
    if there not in layers:
        return f"{where}, which is not in the table of layers"
    if there != here and layers[there] <= layers[here]:
        return f"{where}: {there} is not below {here}"
    return None


def facade_names(stub: str) -> set[str]:
    """Names that a package's ``__init__.pyi`` offers to other packages."""
    return {
        alias.asname or alias.name
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def facade_fault(one: Import, facades: dict[str, set[str]]) -> str | None:
    """What is wrong with an import of another unit, or None: packages are used by what `__init__` names."""
    there = unit(one.target)
    if one.target.split(".")[0] != "sat2cap" or there == unit(one.module) or there not in facades:
        return None
    if one.target == f"sat2cap.{there}":  # the package itself, whose names are then attributes
        return None
    name = one.target.removeprefix(f"sat2cap.{there}.")
    if name in facades[there]:
        return None
    return f"{one.module}:{one.line} imports {one.target}, which sat2cap.{there}'s __init__.pyi does not name"


def read_facades() -> dict[str, set[str]]:
    """``{unit: names}`` of every top-level package."""
    return {path.parent.name: facade_names(path.read_text()) for path in PACKAGE.glob("*/__init__.pyi")}


def read_package() -> dict[str, tuple[str, bool]]:
    """``{dotted module: (source, is a package's __init__)}`` of every file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if is_package else parts)] = (path.read_text(), is_package)
    return found


def test_imports_only_go_down() -> None:
    layers = table(LAYERS)
    package = read_package()
    found = [i for name, (source, init) in package.items() for i in imports(name, source, is_package=init)]
    inside = [i for i in found if i.target.split(".")[0] == "sat2cap"]

    assert [f for i in found if (f := fault(i, layers))] == []
    assert {unit(name) for name in package} == set(layers), "the table names what there is, and all of it"
    assert len(package) >= 50, "the walk missed modules"
    assert len(inside) >= 150, "the parser missed imports"


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("sat2cap.geo.grid", "from sat2cap.imagery.protocol import Imagery", "imagery is not below geo"),
        ("sat2cap.geo.grid", "def f():\n    import sat2cap.model.load", "model is not below geo"),
        ("sat2cap.geo.grid", "from sat2cap import atlas", "atlas is not below geo"),
        ("sat2cap.geo.grid", "from ..atlas.store import Atlas", "atlas is not below geo"),
        ("sat2cap.geo.grid", "from .. import atlas", "atlas is not below geo"),
        ("sat2cap.geo.grid", "import importlib\nimportlib.import_module('sat2cap.cli')", "cli is not below"),
        (
            "sat2cap.query.scoring",
            "from sat2cap.embedding import embed_region",
            "embedding is not below query",
        ),
        ("sat2cap.query.scoring", "from sat2cap import open", "not in the table"),
        ("sat2cap.query.scoring", "import sat2cap", "sat2cap is not below query"),
        ("sat2cap.atlas", "def f():\n    if True:\n        import torch.nn", "atlas must not"),
        ("sat2cap.model.load", "from rasterio import open", "model must not"),
        ("sat2cap.training.loop", "import odc.geo", "training must not"),
        ("sat2cap.utils", "import numpy", "utils is not in the table"),
    ],
)
def test_a_planted_fault_is_caught(module: str, source: str, message: str) -> None:
    faults = [f for i in imports(module, source) if (f := fault(i, table(LAYERS)))]
    assert any(message in f for f in faults), faults


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sat2cap.query.scoring", "from sat2cap.atlas import Atlas\nimport torch"),
        (
            "sat2cap.geo.grid",
            "from .region import Region\nfrom sat2cap.errors import RegionError\nimport odc.geo",
        ),
        (
            "sat2cap.cli.build.train",
            "def f():\n    from sat2cap import api\n    from sat2cap.cli.console import table",
        ),
    ],
)
def test_a_sound_import_passes(module: str, source: str) -> None:
    found = list(imports(module, source))
    assert found
    assert [f for i in found if (f := fault(i, table(LAYERS)))] == []


def test_relative_imports_in_an_init_start_at_the_package_itself() -> None:
    found = list(imports("sat2cap.maps", "from .cog import write_cog", is_package=True))
    assert [i.target for i in found] == ["sat2cap.maps.cog.write_cog"]


def test_packages_use_each_other_by_what_their_init_names() -> None:
    facades = read_facades()
    imported = [
        i for name, (text, init) in read_package().items() for i in imports(name, text, is_package=init)
    ]
    assert [f for i in imported if (f := facade_fault(i, facades))] == []
    assert len(facades) >= 10, "the walk missed packages"
    library = imports("sat2cap", (PACKAGE / "__init__.pyi").read_text(), is_package=True)
    used = {i.target for i in [*imported, *library] if unit(i.target) != unit(i.module)}
    unused = {f"sat2cap.{u}.{name}" for u, names in facades.items() if u != "api" for name in names} - used
    assert sorted(unused) == [], "no other package uses these; take them out of __init__.pyi"


def test_an_import_past_a_facade_is_caught() -> None:
    (deep,) = imports("sat2cap.query.scoring", "from sat2cap.atlas.reader import open_atlas")
    (shallow,) = imports("sat2cap.query.scoring", "from sat2cap.atlas import open_atlas")
    facades = {"atlas": facade_names("from .reader import open_atlas as open_atlas\n")}
    assert "sat2cap.atlas.reader.open_atlas" in str(facade_fault(deep, facades))
    assert facade_fault(shallow, facades) is None


def test_the_page_prints_the_same_table() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    assert f"```\n{LAYERS}```" in page, (
        "copy LAYERS of this test into ARCHITECTURE.md, or the other way round"
    )


def test_files_of_tests_have_names_of_their_own() -> None:
    """pytest imports a file by its name alone: two of one name cannot be collected together."""
    counts = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []
    assert len(counts) > 100
