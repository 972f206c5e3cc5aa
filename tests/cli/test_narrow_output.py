"""Commands print whole on outputs that have ASCII only, or few columns."""

from __future__ import annotations

import io
import json
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


@pytest.mark.parametrize("command", ["show latest", "dead-letters list latest", "runs"])
@pytest.mark.parametrize("columns", [40, 60, 100])
def test_lines_in_ascii_are_no_longer_than_the_terminal(
    folder: pathlib.Path, command: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", str(columns))
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii", write_through=True))
    assert exit_code(command.split(" ")) == 0
    lines = content.getvalue().decode().splitlines()
    assert [line for line in lines if len(line) > columns] == []


def _long(begin: str) -> str:
    """A name of 200 letters, each part of which is its own, so that what is cut is missed."""
    return (begin + "".join(f"-{number}" for number in range(100, 200)))[:200]


PIPELINE, STEP, FILE, VALUE = _long("pipe")[:120], _long("step"), _long("file"), _long("value")
COMMANDS = {
    "runs": [PIPELINE],
    "show latest": [PIPELINE, STEP, FILE, VALUE],
    "dead-letters list latest": [PIPELINE, STEP, FILE, VALUE],
    "dead-letters list latest --letters": [STEP, FILE, VALUE],
    f"dead-letters list --pipeline {PIPELINE}": [STEP, FILE, VALUE],
    "dead-letters show LETTER": [PIPELINE, STEP, FILE, VALUE],
    "why out-00000-of-00001.jsonl:1": [PIPELINE, STEP, FILE, VALUE],
    f"fate {FILE}.csv:2": [PIPELINE, FILE, VALUE],
    f"fate {FILE}.csv:3": [PIPELINE, STEP, FILE, VALUE],
    "sources latest": [PIPELINE, FILE],
    f"affected --source {FILE}.csv": [PIPELINE],
    "diff latest~1 latest": [PIPELINE, STEP, VALUE],
    "prune --older-than 0s --keep-newest 0 --dry-run": [PIPELINE],
    "config": [],
}


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with two runs whose names, files and records are long."""
    folder = tmp_path_factory.mktemp("long")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for bad in ("2", VALUE):
            pathlib.Path(f"{FILE}.csv").write_text(f"name,n\n{VALUE},1\n{VALUE},{bad}\n", encoding="utf-8")
            with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name=PIPELINE) as p:
                rows = p | "read" >> obs.ReadFromCsv(f"{FILE}.csv")
                pairs = rows | STEP >> obs.Stage(beam.Map(lambda row: (row["name"], int(row["n"]))))
                groups = pairs | "group" >> beam.GroupByKey()
                dicts = groups | "dicts" >> beam.MapTuple(lambda name, n: {"name": name, "n": list(n)})
                dicts | "write" >> obs.WriteToJson("out", ".jsonl")
    return folder


def _said(capsys: pytest.CaptureFixture[str], command: str) -> str:
    if "LETTER" in command:
        assert exit_code(["dead-letters", "list", "latest", "--letters", "--json"]) == 0
        command = command.replace("LETTER", json.loads(capsys.readouterr().out.splitlines()[0])["id"])
    assert exit_code(command.split(" ")) == 0
    return capsys.readouterr().out


def _is_whole(name: str, lines: list[str], columns: int) -> bool:
    """Whether a name stands in lines, folded over the lines of any column."""
    if any(name in line for line in lines):
        return True
    for start in range(columns):
        for end in range(start + 8, columns + 1):
            if name in "".join(line[start:end].strip() for line in lines):
                return True
    return False


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", list(COMMANDS), ids=lambda command: command[:28])
def test_nothing_long_is_cut_and_no_line_is_too_long(
    long_folder: pathlib.Path,
    command: str,
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(long_folder)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = _said(capsys, command).splitlines()

    for name in COMMANDS[command]:
        assert _is_whole(name, lines, columns), name[:8]
    assert [line for line in lines if len(line) > columns and " " in line.strip()] == []
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("command", ["why out-00000-of-00001.jsonl:1", f"fate {FILE}.csv:3"])
def test_lines_of_answers_are_not_broken_where_nobody_reads_them(
    long_folder: pathlib.Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(long_folder)
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = _said(capsys, command).splitlines()

    assert any(f"{VALUE},1" in line or f'"{VALUE}"' in line or f"{VALUE},{VALUE}" in line for line in lines)
    assert any(STEP in line for line in lines)


@pytest.mark.parametrize(
    ("command", "ids"),
    [
        ("runs", ["run"]),
        ("show latest", ["whole run", "fingerprint"]),
        ("dead-letters list latest", ["run", "fingerprint"]),
        ("dead-letters list latest --letters", ["letter", "fingerprint"]),
        ("dead-letters show LETTER", ["whole run", "fingerprint", "origin"]),
        (f"fate {FILE}.csv:3", ["run", "origin"]),
        ("diff latest~1 latest", ["run", "fingerprint"]),
        ("sources latest", ["run"]),
        ("prune --older-than 0s --keep-newest 0 --dry-run", ["run"]),
    ],
    ids=lambda value: value[:28] if isinstance(value, str) else None,
)
def test_ids_are_never_broken(
    long_folder: pathlib.Path,
    command: str,
    ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(long_folder)
    letter = json.loads(_said(capsys, "dead-letters list latest --letters --json").splitlines()[0])
    known = {"run": letter["run"][:13], "whole run": letter["run"], "letter": letter["id"].partition(".")[2]}
    monkeypatch.setenv("COLUMNS", "40")
    lines = _said(capsys, command).splitlines()

    for id in ids:
        assert any({**letter, **known}[id] in line for line in lines), id
