"""The machine that does tasks, as the record of a run names it."""

import platform
from importlib import metadata
from pathlib import Path


def processor_name() -> str:
    """Return the name of the processor, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor that has no name
        return platform.machine()


def package_versions(*names: str) -> dict[str, str]:
    """Return the versions of installed packages and of this one, by name."""
    return {name: metadata.version(name) for name in (*names, "sat2cap")}
