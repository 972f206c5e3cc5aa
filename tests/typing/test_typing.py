"""Programs of users are checked with mypy and pyright: right uses pass, wrong ones are found."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest

import beam_obs as obs
import beam_obs.lineage as lineage
import beam_obs.testing as testing

PROJECT = pathlib.Path(__file__).parents[2]
HERE = pathlib.Path(__file__).parent


def mypy(file: pathlib.Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(file)], cwd=PROJECT, capture_output=True, text=True
    )
    return lines_in(done.stdout, rf"{file.name}:(\d+): error")


def pyright(file: pathlib.Path) -> set[int]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(file)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright, which npm installs at its first run, is not there: {done.stderr[-300:]}")
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


def lines_in(text: str, pattern: str) -> set[int]:
    return {int(number) for number in re.findall(pattern, text)}


@pytest.mark.parametrize(("name", "module"), [("obs", obs), ("lineage", lineage), ("testing", testing)])
def test_every_public_name_is_used(name, module) -> None:  # type: ignore[no-untyped-def]
    uses = (HERE / "uses.py").read_text()
    assert [one for one in module.__all__ if not re.search(rf"\b{name}\.{one}\b", uses)] == []


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_right_uses_pass(checker) -> None:  # type: ignore[no-untyped-def]
    assert checker(HERE / "uses.py") == set()


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_wrong_uses_are_found(checker) -> None:  # type: ignore[no-untyped-def]
    lines = (HERE / "misuses.py").read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert checker(HERE / "misuses.py") == expected
