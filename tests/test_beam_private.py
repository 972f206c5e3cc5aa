"""What is private to Beam stands in one list; what a release of Beam took away is named, and what to do."""

from __future__ import annotations

import ast
import pathlib
import pickle
import re
from collections.abc import Iterator

import apache_beam as beam
import pytest

from beam_obs import beam_private
from beam_obs.beam_private import ATTRIBUTES, CLASSES, NAMES, TESTED, BeamChanged, Private, lacking
from tests.programs import run

PROJECT = pathlib.Path(__file__).parent.parent
SOURCES = {
    path: ast.parse(path.read_text())
    for path in sorted((PROJECT / "beam_obs").rglob("*.py"))
    if path.name != "beam_private.py"
}
CLASS_OF_BEAM = re.compile(r"apache_beam(\.\w+)+\._?[A-Z]\w+")
OF_PYTHON = {"_asdict", "_exit", "_field_defaults", "_fields", "_getframe", "_make", "_replace"}
OF_OTHERS = {
    "_header": "fastavro",
    "_is_text_encoding": "codecs",
    "_option_string_actions": "argparse",
    "_action_groups": "argparse",
    "_group_actions": "argparse",
}


def test_the_installed_beam_has_all_that_is_used() -> None:
    missing = [str(one) for one in lacking()]
    assert not missing, f"Apache Beam {beam.__version__} took away: {missing}"


OF_OBJECTS = [one for one in ATTRIBUTES if one.name in ("_current_transform", "_process_defined", "_options")]


@pytest.mark.parametrize("lost", [*NAMES.values(), *OF_OBJECTS, CLASSES[0]], ids=lambda one: one.name)
def test_what_a_beam_lacks_is_found(lost: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = {lost.name: f"{lost.name}_of_another_release"}
    has = beam_private._has
    monkeypatch.setattr(beam_private, "_has", lambda holder, name: has(holder, renamed.get(name, name)))
    assert lost.name in {one.name for one in lacking()}


def test_the_releases_that_are_tested_are_those_that_are_locked() -> None:
    for lock, release in zip(("requirements-oldest.lock", "requirements-dev.lock"), TESTED, strict=True):
        (locked,) = re.findall(r"^apache-beam==(\d+)\.(\d+)\.", (PROJECT / lock).read_text(), re.MULTILINE)
        assert tuple(int(part) for part in locked) == release


MESSAGE = """\
Apache Beam {version} lacks what this release of beam_obs uses:
{missing}
It works with Beam 2.76 to 2.77: pip install 'apache-beam>=2.76,<2.78', or a newer release of beam_obs
"""
BUILT = """
import sys
import apache_beam as beam
for name in [name for name in sys.modules if name.partition(".")[0] == "beam_obs"]:
    del sys.modules[name]
{taken_away}
import beam_obs as obs
parse = "parse" >> obs.Stage(beam.Map(str))
beam.Pipeline() | beam.Create([1]) | parse
"""


def test_a_class_that_a_release_took_away_is_named_when_a_pipeline_is_built() -> None:
    said = built("import apache_beam.transforms.core as core; del core._MultiParDo")
    missing = "  apache_beam.transforms.core._MultiParDo (a ParDo with tagged outputs)"
    assert said.endswith(f"BeamChanged: {MESSAGE.format(version=beam.__version__, missing=missing)}")


def test_all_that_an_unknown_release_took_away_is_named_when_a_pipeline_is_built() -> None:
    said = built(
        "import apache_beam.transforms.core as core; del core._MultiParDo; del core.DoFn._process_defined; "
        "beam.__version__ = '2.99.0'; del beam.Pipeline._root_transform"
    )
    missing = (
        "  apache_beam.transforms.core._MultiParDo (a ParDo with tagged outputs)\n"
        "  apache_beam.pipeline.Pipeline._root_transform (the steps of a pipeline)\n"
    )
    assert f"BeamChanged: {MESSAGE.format(version='2.99.0', missing=missing)[:200]}" in said
    assert "apache_beam.transforms.core.DoFn._process_defined (whether a DoFn takes elements)" in said
    assert "_tags" not in said  # of the class that is gone


def test_an_unknown_release_that_has_all_is_taken() -> None:
    assert built("beam.__version__ = '2.99.0'") == ""


def built(taken_away: str) -> str:
    return run(["-c", BUILT.format(taken_away=taken_away)]).stderr


def test_an_error_of_it_can_be_pickled() -> None:
    error = BeamChanged("2.99.0", (CLASSES[0],))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.slow
def test_nothing_private_is_taken_from_beam_past_the_list() -> None:
    listed = {one.name for one in (*ATTRIBUTES, *CLASSES)}
    ours = set().union(*(names_made_here(tree) for tree in SOURCES.values()))
    known = {f"{one.home}.{one.name}" for one in CLASSES}
    past = {}
    for path, tree in SOURCES.items():
        past[str(path)] = [
            *(name for name in names_of_beam(tree) if re.search(r"\._[a-z]", name, re.IGNORECASE)),
            *(attributes_of_others(tree) - ours - listed - OF_PYTHON - set(OF_OTHERS)),
            *({name for name in strings(tree) if CLASS_OF_BEAM.fullmatch(name)} - known),
        ]
    assert not {path: names for path, names in past.items() if names}


def test_all_that_is_listed_is_used() -> None:
    words = {word for path in SOURCES for word in re.findall(r"\w+", path.read_text())}
    assert not {*NAMES, *(one.name for one in ATTRIBUTES)} - words


# What the sources say.


def names_of_beam(tree: ast.AST) -> Iterator[str]:
    """Gives the full names of what is imported from Beam, and of what is taken from its modules."""
    modules = {}
    listed = {one.name for one in ATTRIBUTES}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("apache_beam"):
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    yield from (name for name in modules.values() if not name.endswith("__"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            home = modules.get(node.value.id)
            if home is not None and node.attr not in listed:
                yield f"{home}.{node.attr}"


def attributes_of_others(tree: ast.AST) -> set[str]:
    """Returns the private attributes that are asked of something else than self, also by their names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            found.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            found.update(
                one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def names_made_here(tree: ast.AST) -> set[str]:
    """Returns the private names that are set on self, or defined."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                found.add(node.attr)
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return {name for name in found if name.startswith("_")}


def strings(tree: ast.AST) -> set[str]:
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}
