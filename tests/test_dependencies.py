"""What the package imports against what pyproject.toml declares, both ways."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sat2cap"

DISTRIBUTION_OF = {
    "PIL": "pillow",
    "av": "av",
    "bert_score": "bert-score",
    "google_crc32c": "google-crc32c",
    "huggingface_hub": "huggingface-hub",
    "lazy_loader": "lazy-loader",
    "lightning_fabric": "lightning-fabric",
    "mpl_toolkits": "matplotlib",
    "pillow_heif": "pillow-heif",
    "odc.geo": "odc-geo",
    "rio_tiler": "rio-tiler",
    "titiler": "titiler-core",
    "pystac_client": "pystac-client",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
    "zarr_cm": "zarr-cm",
}
"""Modules whose distribution has another name."""

USED_WITHOUT_AN_IMPORT = {
    "sentencepiece": "transformers imports it for SigLIP's tokenizer",
    "protobuf": "transformers imports it for that tokenizer",
    "tensorboard": "torch.utils.tensorboard imports it",
    "pycocoevalcap": "imported by the name of each measure of captions",
    "faiss-cpu": "benchmarks only",
    "h5py": "benchmarks only",
}


def imported_modules() -> set[str]:
    """Third-party modules that any file of src imports, at any depth; two levels for namespace packages."""
    modules = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            elif (
                isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args
            ):
                names = [node.args[0].value] if isinstance(node.args[0], ast.Constant) else []
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                modules.add(".".join(name.split(".")[:2]) if top == "odc" else top)
    return {name for name in modules if name.split(".")[0] not in {*sys.stdlib_module_names, "sat2cap"}}


def declared() -> dict[str, set[str]]:
    """``{extra: distributions}``; the base install is ``""``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in lines} - {"sat2cap"}
        for extra, lines in groups.items()
    }


def test_every_import_is_declared_and_every_declaration_is_used() -> None:
    shipped = set().union(*(names for extra, names in declared().items() if extra != "dev"))
    used = {DISTRIBUTION_OF.get(name, name) for name in imported_modules()}
    assert used - shipped == set(), "imported, and not declared"
    assert shipped - used - set(USED_WITHOUT_AN_IMPORT) == set(), "declared, and never imported"
    assert len(used) > 30, "the walk missed imports"


def test_a_declaration_stands_beside_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lines = re.findall(r'^    "[a-z0-9-]+>=[^"]+",(.*)$', text, re.MULTILINE)
    assert len(lines) > 30
    bare = [line for line in lines if not line.strip().startswith("#")]
    assert len(bare) <= 3, "only pytest, ruff and mypy need no reason"
