"""Docstrings: their examples give what they say, and functions that take or return arrays tell the shapes.

Examples about data of the reader's own are only read.
"""

import ast
import builtins
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sat2cap

PACKAGE = Path(sat2cap.__file__).parent
SLOW = {"sat2cap.api.models.load_model"}
"""Examples that other tests cover, and that take seconds."""


def _modules_with_examples() -> list[str]:
    paths = (path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text("utf-8"))
    return sorted(".".join(["sat2cap", *path.relative_to(PACKAGE).with_suffix("").parts]) for path in paths)


def _is_self_contained(test: doctest.DocTest) -> bool:
    """Return whether an example uses only names of its module, of Python, and those it defines itself."""
    names = [
        node
        for example in test.examples
        for node in ast.walk(ast.parse(example.source))
        if isinstance(node, ast.Name)
    ]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return all(node.id in own or node.id in test.globs or hasattr(builtins, node.id) for node in names)


def test_examples_give_what_they_say() -> None:
    finder, report = doctest.DocTestFinder(exclude_empty=True), list[str]()
    runner = doctest.DocTestRunner(verbose=False)
    passed, left_out = set[str](), set[str]()
    for name in _modules_with_examples():
        module: Any = importlib.import_module(name)
        for test in finder.find(module, name):
            if not test.examples or test.name in SLOW:
                continue
            if not _is_self_contained(test):
                left_out.add(test.name)
            elif not runner.run(test, out=report.append).failed:
                passed.add(test.name)
    assert report == []
    assert len(passed) >= 35
    assert "sat2cap.api.open.open" in left_out
    assert len(left_out) <= 15


def _exported_names() -> set[str]:
    """Return the names that any package of the library offers in its ``__init__.pyi``."""
    stubs = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("__init__.pyi")]
    imports = [node for stub in stubs for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in imports for alias in node.names}


def _array_types(modules: list[ast.Module]) -> set[str]:
    """Return the names that stand for arrays: numpy's, torch's, and what modules abbreviate them to."""
    names = {"ndarray", "NDArray", "Tensor"}
    for module in modules:
        for node in module.body:
            if isinstance(node, ast.Assign) and re.match(
                r"NDArray\[|(torch\.)?Tensor$", ast.unparse(node.value)
            ):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _public_functions(module: ast.Module, exported: set[str]) -> Iterator[ast.FunctionDef]:
    """Yield the functions that a package exports, and the public methods of public classes."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name in exported:
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = (child for child in node.body if isinstance(child, ast.FunctionDef))
            yield from (method for method in methods if not method.name.startswith("_"))


def _is_about_arrays(function: ast.FunctionDef, array_types: set[str]) -> bool:
    arguments = [*function.args.args, *function.args.kwonlyargs]
    annotations = [function.returns, *(argument.annotation for argument in arguments)]
    nodes = [node for annotation in annotations if annotation for node in ast.walk(annotation)]
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in nodes}
    return bool(names & array_types)


_SHAPE = re.compile(
    r"\bshapes?\b|\bscalar\b|\[[^\[\]]+\]|\(([A-Z][^)a-z]*|h, w|y, x|rows, columns|…, ?\w+)[,)]"
)
"""The word itself, or sizes in brackets: ``(N, D)``, `[y, x]`."""


def test_shapes_of_arrays_are_told() -> None:
    modules = {path: ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    exported, array_types = _exported_names(), _array_types(list(modules.values()))
    assert {"Floats", "Pixels"} <= array_types
    told, silent = 0, []
    for path, module in modules.items():
        for function in _public_functions(module, exported):
            if _is_about_arrays(function, array_types):
                text = ast.get_docstring(function) or ""
                told += bool(_SHAPE.search(text))
                if not _SHAPE.search(text):
                    silent.append(f"{path.relative_to(PACKAGE)}:{function.lineno} {function.name}")
    assert silent == [], "\n".join(silent)
    assert told > 150


_NO_VERB = {
    "A",
    "All",
    "An",
    "Each",
    "Every",
    "From",
    "How",
    "It",
    "Its",
    "Of",
    "The",
    "What",
    "Whether",
    "Which",
}
"""First words of a phrase that says what a value is; a function's docstring says what it does."""


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    seen, faults = 0, []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            decorators = " ".join(map(ast.unparse, node.decorator_list))
            text = ast.get_docstring(node)
            if text is None or "property" in decorators or "router." in decorators:
                continue  # what a route says of itself is in the description of the addresses
            seen += 1
            if text.split()[0].strip(".,:") in _NO_VERB:
                faults.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {text.splitlines()[0]}")
    assert faults == []
    assert seen > 2000
