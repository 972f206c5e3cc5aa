"""Commands print on outputs that have ASCII only."""

from __future__ import annotations

import io
import pathlib
import sys

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code

NAME = "größe"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a run that has names and records that ASCII lacks."""
    folder = tmp_path_factory.mktemp("narrow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        pathlib.Path("gemäß.csv").write_text("name,größe\né,1\nü…,x\n", encoding="utf-8")
        with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="narrow") as p:
            rows = p | "lies" >> obs.ReadFromCsv("gemäß.csv")
            sizes = rows | NAME >> obs.Stage(beam.Map(lambda row: (row["name"], int(row["größe"]))))
            groups = sizes | "gruppe" >> beam.GroupByKey()
            dicts = groups | beam.MapTuple(lambda name, numbers: {"name": name, "n": list(numbers)})
            dicts | "schreib" >> obs.WriteToJson("aus", ".jsonl")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "runs",
        "show latest",
        "dead-letters list latest",
        "dead-letters list latest --letters",
        "dead-letters list --pipeline narrow",
        "why aus-00000-of-00001.jsonl:1",
        "fate gemäß.csv:2",
        "fate gemäß.csv:3",
        "sources latest",
        "affected --source gemäß.csv",
        "diff latest latest",
        "graph latest --output -",
        "prune --older-than 0s --keep-newest 0 --dry-run",
        f"dead-letters list latest --stage {NAME}",
        "show nichts-für-ungut",
    ],
)
def test_a_command_prints_in_ascii(
    folder: pathlib.Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    printed = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, content in printed.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(content, encoding="ascii", write_through=True))
    code = exit_code(command.split(" "))
    said = (printed["stdout"].getvalue() + printed["stderr"].getvalue()).decode()
    assert code == (1 if "nichts" in command else 0), said
    assert said
    assert "Traceback" not in said
