"""The program that measures, and where it runs, as evidence names them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from attest import __version__
from attest.digest import sha256, tree_digest
from attest.evidence import Environment, Tool

__all__ = ["environment", "this_tool"]


def this_tool() -> Tool:
    """Version of the program, and a digest over its own Python files and tables."""
    package = Path(__file__).resolve().parent
    files = []
    for folder, _, names in os.walk(package):
        inside = Path(folder).relative_to(package).as_posix()
        for name in names:
            if name.endswith((".py", ".toml")):
                data = Path(folder, name).read_bytes()
                files.append((name if inside == "." else f"{inside}/{name}", len(data), sha256(data)))
    return Tool(name="attest", version=__version__, source_sha256=tree_digest(files))


def environment(*packages: str) -> Environment:
    """Where this runs: versions of the interpreter, the system and these packages; no names of users or hosts."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - loaded while others hash

    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return Environment(
        python=platform.python_version(),
        system=platform.system(),
        machine=platform.machine(),
        packages=versions,
    )
