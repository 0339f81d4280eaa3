"""The pages against reality: links, command lines, Python, and the tree of files."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sat2cap.cli.app import _protect_negative_numbers, make_command

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "sat2cap"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
GENERATED = ROOT / "docs" / "cli.md"
"""Made of the commands, and compared with them by another test; its synopses are no command lines."""

_FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_PLACEHOLDERS = ("[OPTIONS]", "…")


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Targets of a page's links and pictures that are files of this repository."""
    return [t for t in _LINK.findall(prose(text)) if not re.match(r"[a-z]+:|#", t)]


def anchors(text: str) -> set[str]:
    """What a heading of a page is linked as."""
    heads = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_link(page: Path, target: str) -> str | None:
    """What is wrong with one link, or None."""
    name, _, anchor = target.partition("#")
    path = page.parent / name
    if not path.exists():
        return f"{page.name}: {target} is not there"
    if anchor and anchor not in anchors(path.read_text()):
        return f"{page.name}: {target} has no such heading"
    return None


def command_lines(text: str) -> Iterator[str]:
    """Every ``sat2cap …`` of a page, in blocks and in the running text."""
    for language, block in _FENCE.findall(text):
        if language in ("", "sh", "bash", "console", "toml"):
            lines = (line.strip(" #$\t") for line in block.splitlines())
            yield from (line for line in lines if line.startswith("sat2cap "))
    yield from (" ".join(found.split()) for found in re.findall(r"`(sat2cap [^`]+)`", prose(text)))


WHOLE_COMMAND: Any = make_command()  # once: it takes as long as the import of numpy


def wrong_command(line: str) -> str | None:
    """What the parser says of a command line, or None; a command's bare name, as in prose, is fine."""
    command = WHOLE_COMMAND
    words = [_protect_negative_numbers(word) for word in shlex.split(line, comments=True)[1:]]
    if words in (["--help"], ["--version"]):
        return None
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name not in command.commands:
            return f"{line}: there is no {name}"
        command = command.commands[name]
    if not words:
        return None
    if hasattr(command, "commands"):
        return f"{line}: names no command"
    try:
        command.make_context("sat2cap", words)
    except Exception as error:  # the parser's errors are of a private class
        says = error.format_message() if hasattr(error, "format_message") else repr(error)
        return f"{line}: {says}"
    return None


def tree(text: str) -> list[str]:
    """Packages (with a slash) and top-level files in the tree of ARCHITECTURE.md, relative to the package."""
    block = text.split("```\nsrc/sat2cap/\n")[1].split("```")[0]
    paths: list[str] = []
    parents: dict[int, str] = {2: ""}
    for line in block.splitlines():
        names = line.split("#")[0]
        indent = len(names) - len(names.lstrip())
        paths += [parents[indent] + name for name in names.split()]
        parents[indent + 2] = paths[-1]
    return paths


def packages() -> set[str]:
    """The same of the folder: folders that hold files, and files at the top level."""
    paths = set()
    for path in PACKAGE.rglob("*"):
        name = path.relative_to(PACKAGE).as_posix()
        if "__pycache__" in name or path.stem == "__init__":
            continue
        if name.startswith("server/page"):  # built from web/, not in the repository
            continue
        # A folder of nothing but caches is what a removed package left behind.
        if path.is_dir() and any(entry.is_file() for entry in path.glob("*.*")):
            paths.add(f"{name}/")
        elif path.is_file() and path.parent == PACKAGE:
            paths.add(name)
    return paths


def test_every_link_leads_somewhere() -> None:
    found = [(page, target) for page in PAGES for target in links(page.read_text())]
    assert [fault for page, target in found if (fault := broken_link(page, target))] == []
    assert len(PAGES) >= 12, "the walk missed pages"
    assert len(found) >= 20, "the pattern missed links"
    assert "docs/demo.png" in links((ROOT / "README.md").read_text())


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [page.parent / target.split("#")[0] for target in links(page.read_text())]
    assert {page.resolve() for page in PAGES} == seen


def test_every_command_line_parses() -> None:
    pages = [page for page in PAGES if page != GENERATED]
    runs = sorted(PACKAGE.glob("runs/*.toml"))
    texts = [page.read_text() for page in pages] + [f"```toml\n{run.read_text()}```" for run in runs]
    found = [line for text in texts for line in command_lines(text)]
    whole = [line for line in found if not any(mark in line for mark in _PLACEHOLDERS)]
    assert [fault for line in whole if (fault := wrong_command(line))] == []
    assert len(whole) >= 30, "the pattern missed commands"
    assert sum("sat2cap train runs/" in line for line in whole) >= 3
    assert {line.split()[1] for line in whole} >= {
        "demo",
        "pairs",
        "train",
        "embed",
        "map",
        "search",
        "atlas",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sat2cap nonsense", "no nonsense"),
        ("sat2cap pairs nonsense x", "no nonsense"),
        ("sat2cap map x.zarr snow -o m.tif --nonsense", "nonsense"),
        ("sat2cap map x.zarr snow", "-o"),
        ("sat2cap map x.zarr snow -o m.tif --scale nonsense", "nonsense"),
        ("sat2cap embed 1,2,3,4 --imagery a.tif -o x.zarr", "--model"),
        ("sat2cap search x.zarr one two", "two"),
    ],
)
def test_a_wrong_command_line_is_caught(line: str, words: str) -> None:
    fault = wrong_command(line)
    assert fault is not None
    assert words in fault.removeprefix(line)


def test_a_wrong_link_is_caught() -> None:
    page = ROOT / "README.md"
    assert links("see [a](no.md) and ![b](docs/cli.md) and [c](https://example.org)") == [
        "no.md",
        "docs/cli.md",
    ]
    assert broken_link(page, "no.md")
    assert broken_link(page, "docs/cli.md#nonsense")
    assert broken_link(page, "docs/cli.md#sat2cap-embed") is None


def python_blocks() -> list[tuple[Path, str]]:
    """Every block of Python with its page."""
    return [
        (page, code)
        for page in PAGES
        for language, code in _FENCE.findall(page.read_text())
        if language == "python"
    ]


def test_every_python_block_compiles() -> None:
    blocks = python_blocks()
    for page, code in blocks:
        compile(code, str(page), "exec")
    assert len(blocks) >= 5
    assert any(page.name == "README.md" for page, _ in blocks)


def test_what_python_blocks_import_of_the_package_is_there() -> None:
    imports = [
        (page.name, node.module, alias.name)
        for page, code in python_blocks()
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "sat2cap"
        for alias in node.names
    ]
    assert len(imports) >= 5
    missing = [found for found in imports if not hasattr(import_module(str(found[1])), found[2])]
    assert missing == []


def test_the_tree_is_the_folder() -> None:
    written, there = tree((ROOT / "ARCHITECTURE.md").read_text()), packages()
    assert len(written) == len(set(written)), "a package stands in the tree twice"
    assert there - set(written) == set(), "add these to the tree in ARCHITECTURE.md"
    assert set(written) - there == set(), "take these out of the tree in ARCHITECTURE.md"
    assert len(there) >= 30, "the walk missed packages"
    assert {"evaluation/maps/schemes/", "geo/", "errors.py", "miniworld/clip/"} <= there


def test_every_word_of_the_glossary_is_in_the_code() -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Words\n")[1].split("\n## ")[0]
    rows = [row for row in re.findall(r"^\| (.+) \|$", section, re.MULTILINE) if "`" in row]
    assert len(rows) >= 15, "the pattern missed rows"
    for row in rows:
        module, _, name = re.findall(r"`([\w.]+)`$", row)[0].rpartition(".")
        assert hasattr(import_module(module), name), row


def test_every_module_of_the_walks_is_there() -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Three walks\n")[1].split("\n## ")[0]
    modules = re.findall(r"`(sat2cap(?:\.\w+)+)`", section)
    assert len(modules) >= 30, "the pattern missed modules"
    gone = [name for name in modules if find_spec(name) is None]
    assert gone == []


def test_the_readmes_make_targets_exist() -> None:
    text = "".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
    wanted = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    assert {"demo", "test", "check"} <= wanted
    for target in wanted:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_changelog_knows_this_version() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_pages_name_no_place_of_this_machine() -> None:
    texts = {page.name: page.read_text() for page in PAGES}
    assert [
        name for name, text in texts.items() if re.search(r"(?<![\w.])/(work|tmp|home|root)/", text)
    ] == []
    assert sum(map(len, texts.values())) > 20_000


def test_the_help_counts_what_ships() -> None:
    from sat2cap.miniworld.prompts import SEASONAL_PROMPTS
    from sat2cap.query import DEFAULT_PHRASES

    said = re.findall(r"(\d+) that ship", "".join(page.read_text() for page in PAGES))
    assert {int(number) for number in said} == {len(DEFAULT_PHRASES), len(SEASONAL_PROMPTS)}


def test_headings_stand_apart_and_occur_once() -> None:
    """A link to a heading that occurs twice leads to the first; one stuck to a table becomes its row."""
    seen = 0
    for page in PAGES:
        text = prose(page.read_text())
        heads = re.findall(r"^#+ .+$", text, re.MULTILINE)
        seen += len(heads)
        if page not in (GENERATED, ROOT / "CHANGELOG.md"):
            assert sorted(heads) == sorted(set(heads)), page.name
        assert re.findall(r"^.*\S.*\n(#+ .+)$", text, re.MULTILINE) == [], page.name
    assert seen > 100, "the pattern missed headings"
