"""docs/security.md: each of its promises names a test, and there is such a test."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security.md"


def promises() -> list[str]:
    """Return the items of the page's lists, each as one line."""
    items = re.findall(r"^- .*(?:\n  .*)*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [" ".join(item.split()) for item in items]


def test_each_line_names_a_test_that_exists() -> None:
    assert len(promises()) >= 15, "the page was not read"
    for promise in promises():
        tests = re.findall(r"<!-- (tests/\S+\.py)::(\w+) -->", promise)
        assert tests, promise
        for path, name in tests:
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{path} has no {name}"


def test_no_two_lines_name_the_same_test() -> None:
    names = re.findall(r"<!-- (\S+) -->", PAGE.read_text(encoding="utf-8"))
    assert len(names) == len(set(names))
