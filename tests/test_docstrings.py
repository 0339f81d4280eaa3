"""Examples in docstrings give what they say; those about data of the reader's own are only read."""

import ast
import builtins
import doctest
import importlib
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
