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


def mypy(files: list[pathlib.Path]) -> dict[str, set[int]]:
    done = subprocess.run([sys.executable, "-m", "mypy", *files], cwd=PROJECT, capture_output=True, text=True)
    return {file.name: lines_in(done.stdout, rf"/{file.name}:(\d+): error") for file in files}


def pyright(files: list[pathlib.Path]) -> dict[str, set[int]]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *files]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright, which npm installs at its first run, is not there: {done.stderr[-300:]}")
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [
        (pathlib.Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in found
        if one["severity"] == "error"
    ]
    return {file.name: {line for name, line in errors if name == file.name} for file in files}


def lines_in(text: str, pattern: str) -> set[int]:
    return {int(number) for number in re.findall(pattern, text)}


@pytest.mark.parametrize(("name", "module"), [("obs", obs), ("lineage", lineage), ("testing", testing)])
def test_every_public_name_is_used(name, module) -> None:  # type: ignore[no-untyped-def]
    uses = (HERE / "uses.py").read_text()
    assert [one for one in module.__all__ if not re.search(rf"\b{name}\.{one}\b", uses)] == []


@pytest.mark.parametrize("checker", [mypy, pyright])
@pytest.mark.slow
def test_right_uses_pass_and_wrong_ones_are_found(checker) -> None:  # type: ignore[no-untyped-def]
    lines = (HERE / "misuses.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    expected = {"uses.py": set(), "misuses.py": wrong}
    assert checker([HERE / name for name in expected]) == expected
