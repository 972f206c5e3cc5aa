"""The names of `import beam_obs as obs`: what help says of them, and how one goes."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import warnings
import zipfile
from typing import Any

import pytest

import beam_obs as obs
import beam_obs.lineage
from tests.programs import run


def helped() -> str:
    return run(["-c", "import beam_obs as obs; help(obs)"]).stdout


def test_help_begins_with_a_map_and_tells_of_every_name() -> None:
    assert obs.__doc__ is not None
    lines = obs.__doc__.splitlines()
    in_map = [line for line in lines[1:13] if line.startswith("    ")]
    assert len(in_map) == 11
    text = helped()
    assert text.index(in_map[0].strip()) < text.index("PACKAGE CONTENTS")
    told = re.findall(r"^    (?:class )?(\w+)[( =]", text, re.MULTILINE)
    assert sorted(set(obs.__all__) - set(told)) == []


def test_the_map_leaves_out_only_kinds_of_error_and_forms_of_the_same() -> None:
    assert obs.__doc__ is not None
    left_out = {name for name in obs.__all__ if not re.search(rf"\b{name}\b", obs.__doc__)}
    errors = {
        name
        for name in left_out
        if isinstance(kind := getattr(obs, name), type) and issubclass(kind, Exception)
    }
    assert left_out - errors == {
        "DEAD_LETTER_BIGQUERY_SCHEMA",
        "DeadLetter",
        "File",
        "LINEAGE_AVRO_FIELD",
        "LINEAGE_BIGQUERY_FIELD",
    }


@pytest.mark.parametrize("package", [obs, obs.lineage], ids=lambda package: package.__name__)
def test_type_checkers_and_python_are_told_the_same_names(package: Any) -> None:
    stub = pathlib.Path(package.__file__).with_suffix(".pyi").read_text()
    imported = {
        alias.asname: node.module
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(map(str, imported)) == package.__all__
    for name, module in imported.items():
        assert getattr(package, name) is getattr(importlib.import_module(str(module)), name)
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Stagge'"):
        package.Stagge  # noqa: B018


def test_the_names_are_found_in_an_archive(tmp_path: pathlib.Path) -> None:
    folder = pathlib.Path(obs.__file__).parent
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for file in folder.glob("**/*.py*"):
            archive.write(file, file.relative_to(folder.parent))
    code = """
import beam_obs as obs, beam_obs.lineage
print(obs.UsageError.__name__, obs.lineage.COMPLETE, obs.__file__)
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "packed.zip")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith("UsageError complete"), done.stderr
    assert "packed.zip" in done.stdout


RETIRED = list(obs._RETIRED.items())


@pytest.mark.parametrize(("old", "retired"), RETIRED)
def test_a_retired_name_warns_of_the_new_one_and_of_its_end(old: str, retired: Any) -> None:
    release = ".".join(map(str, retired.gone))
    said = rf"beam_obs\.{old} is beam_obs\.{retired.new} now: the old name goes with release {release}$"
    with pytest.warns(DeprecationWarning, match=said) as warned:
        assert getattr(obs, old) is getattr(obs, retired.new)
    assert warned[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=said) as warned:
        exec(f"from beam_obs import {old}", {})
    assert {one.filename for one in warned} == {"<string>"}


@pytest.mark.parametrize(("old", "retired"), RETIRED)
def test_a_retired_name_is_not_shown_any_more(old: str, retired: Any) -> None:
    assert old not in obs.__all__
    assert old not in dir(obs)
    assert retired.new in obs.__all__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec("from beam_obs import *", {})


@pytest.mark.parametrize(("old", "retired"), RETIRED)
def test_a_name_that_is_no_more_says_what_to_write(
    old: str, retired: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = ".".join(map(str, retired.gone))
    monkeypatch.setattr(importlib.metadata, "version", lambda package: f"{release}.0.dev0")
    said = rf"^beam_obs\.{old} is beam_obs\.{retired.new} now: the old name went with release {release}$"
    with pytest.raises(AttributeError, match=said):
        getattr(obs, old)
