"""Stores that earlier releases wrote: every command says of them what the release that wrote them said.

`make.py` made them. Where a command says the same in other words on purpose, its answer is kept anew by
`python tests/stores/make.py NAME --answers`; what it says as JSON may only become more.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import shlex
import shutil
from typing import Any

import pytest

from tests import programs

FOLDER = pathlib.Path(__file__).parent
ANSWERS = sorted(FOLDER.glob("*/answers/*.txt"))

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/cwd"), reason="its files are named by /proc")


@pytest.fixture(scope="module")
def make() -> Any:
    found = importlib.util.spec_from_file_location("making_stores", FOLDER / "make.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Returns a copy of all stores: what reads them has no need to write there, but might."""
    folder = tmp_path_factory.mktemp("kept") / "stores"
    shutil.copytree(FOLDER, folder)
    return folder


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_a_command_says_of_a_kept_store_what_it_said_when_that_was_written(
    answer: pathlib.Path, make: Any, kept: pathlib.Path
) -> None:
    line, _, expected = answer.read_text().partition("\n")
    command = shlex.split(line)
    said = make.ask(kept / answer.parent.parent.name, command)
    if "--json" in command:
        assert_has(objects(said), objects(expected))
    else:
        assert said == expected


def objects(text: str) -> list[Any]:
    """Returns JSON objects that stand one behind the other."""
    found, at, decoder = [], 0, json.JSONDecoder()
    text = text.strip()
    while at < len(text):
        one, at = decoder.raw_decode(text, at)
        found.append(one)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def assert_has(found: Any, expected: Any) -> None:
    """Asserts that JSON is as expected; objects may have more fields, and what was not known may be known."""
    if isinstance(expected, dict):
        assert set(expected) <= set(found)
        for name, value in expected.items():
            assert_has(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_has(one, other)
    elif expected is not None:
        assert found == expected


@pytest.mark.slow
def test_what_is_refused_again_is_the_same_kind_as_in_a_kept_store(make: Any, kept: pathlib.Path) -> None:
    folder = kept / "2026-11"
    programs.run([f"{make.HERE}/temperatures.py", "again"], cwd=folder).check_returncode()

    runs = [json.loads(line)["id"] for line in make.ask(folder, ["runs", "--json"]).splitlines()]
    new, old = runs[0], runs[-1]
    (difference,) = objects(make.ask(folder, ["diff", old, new, "--json"]))
    kinds = difference["dead_letters"]
    assert len(kinds) == 10
    assert {kind["state"] for kind in kinds} == {"recurring"}
    assert not [step for step in difference["steps"] if step["code"] == "changed"]

    keys = []
    for run in (old, new):
        letters = objects(make.ask(folder, ["dead-letters", "list", run, "--letters", "--json"]))
        keys.append(sorted((one["key"], one["fingerprint"]) for one in letters))
    assert keys[0] == keys[1]
