"""The rooms, as docs/architecture.md draws them: who may import whom, and where no Apache Beam is needed."""

from __future__ import annotations

import ast
import collections
import pathlib
import subprocess
import sys
from collections.abc import Iterable

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "beam_obs"
PAGE = PACKAGE.parent / "docs" / "architecture.md"

GROUND = ["metrics", "files", "records"]
WRITE_LEG = ["weaving", "checks", "io", "stages", "dead_letters", "woven", "wrapper", "logs", "traces"]
"""From the top down: a pipeline while it is built and runs."""
READ_LEG = ["reports", "lineage", "store"]
"""From the top down: a store, without Apache Beam."""
ABOVE_BOTH = ["cli", "dataflow", "alerts", "web", "testing", "runs", "replay", "exporters"]
"""From the top down."""

WITHOUT_BEAM = ["records", "store", "lineage", "reports", "exporters", "web", "alerts", "dataflow", "cli"]
"""Rooms none of whose modules imports Apache Beam before it is used."""

MODULES = sorted(PACKAGE.glob("*/**/*.py"))


def may_import(room: str) -> set[str]:
    """Returns the rooms below a room, on its own leg and on the ground."""
    if room in GROUND:
        return set(GROUND[GROUND.index(room) + 1 :])
    if room in ABOVE_BOTH:
        return {*ABOVE_BOTH[ABOVE_BOTH.index(room) + 1 :], *WRITE_LEG, *READ_LEG, *GROUND}
    leg = WRITE_LEG if room in WRITE_LEG else READ_LEG
    return {*leg[leg.index(room) + 1 :], *GROUND}


def modules_imported_by(path: pathlib.Path, at_import: bool = False) -> set[str]:
    """Returns what a module names in imports, all of them or those that its own import runs."""
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def rooms_imported_by(path: pathlib.Path) -> set[str]:
    rooms = {*GROUND, *WRITE_LEG, *READ_LEG, *ABOVE_BOTH}
    return {name.split(".")[1] for name in modules_imported_by(path) if name.startswith("beam_obs.")} & rooms


def test_every_room_is_known_and_drawn() -> None:
    found = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found == {*GROUND, *WRITE_LEG, *READ_LEG, *ABOVE_BOTH}
    drawn = PAGE.read_text()
    assert [room for room in found if f"{room}/" not in drawn] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards_only(path: pathlib.Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    assert rooms_imported_by(path) <= {room, *may_import(room)}


def names_twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in collections.Counter(names).items() if count > 1]


def test_no_two_modules_have_one_name() -> None:
    # A command's module is named as the command, whatever answers it.
    modules = [path.stem for path in MODULES if path.stem != "__init__" and path.parent.name != "cli"]
    assert names_twice(modules) == []


def test_no_two_classes_have_one_name() -> None:
    classes = [
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert names_twice(classes) == []


def test_reading_a_store_does_not_import_beam() -> None:
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for room in WITHOUT_BEAM
        for path in sorted((PACKAGE / room).glob("**/*.py"))
        if path.stem != "__main__"
    ]
    code = f"""
import importlib, sys
import beam_obs
for name in {modules!r}:
    importlib.import_module(name)
    if "apache_beam" in sys.modules:
        sys.exit(f"{{name}} imports Apache Beam")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_importing_what_builds_a_pipeline_imports_nothing_that_runs_or_reads_one() -> None:
    pending, found = (
        ["beam_obs.runs.pipeline", "beam_obs.stages.stage", "beam_obs.io.reads.csv_source"],
        set(),
    )
    while pending:
        name = pending.pop()
        path = PACKAGE.parent / f"{name.replace('.', '/')}.py"
        if name not in found and path.exists():
            found.add(name)
            pending.extend(modules_imported_by(path, at_import=True))
    of_runs = ["runs.launched", "runs.ending", "weaving.weave", "woven.woven_dofn", "store.numbers_of_run"]
    of_reading = ["store.evidence", "store.partitions_file", "lineage", "reports", "replay.replay"]
    assert found & {f"beam_obs.{name}" for name in of_runs + of_reading} == set()
