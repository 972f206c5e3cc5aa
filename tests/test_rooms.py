"""The order of the rooms: imports run downwards only, and reading a store never waits for Apache Beam."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "beam_obs"

ROOMS = [
    "cli",
    "dataflow",
    "web",
    "exporters",
    "alerts",
    "testing",
    "lineage",
    "runs",
    "weaving",
    "io",
    "stages",
    "wrapper",
    "metrics",
    "traces",
    "records",
]
"""From the top down, as in CONTRIBUTING.md."""

MODULES = sorted(PACKAGE.glob("*/**/*.py"))


def rooms_imported_by(path: pathlib.Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    parts = (name.split(".") for name in names if name.startswith("beam_obs."))
    return {part[1] for part in parts} & set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards_only(path: pathlib.Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    above = set(ROOMS[: ROOMS.index(room)])
    assert not rooms_imported_by(path) & above


@pytest.mark.parametrize(
    "module", ["beam_obs", "beam_obs.cli.main", "beam_obs.store.store", "beam_obs.lineage"]
)
def test_reading_a_store_does_not_import_beam(module: str) -> None:
    code = f"import sys, {module}; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False).returncode == 0
