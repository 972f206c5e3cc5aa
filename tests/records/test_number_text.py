"""One of anything is told in the singular, by every command."""

from __future__ import annotations

import json
import pathlib
import re

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code

COMMANDS = (
    "runs --limit 1",
    "show latest",
    "dead-letters list latest",
    "dead-letters list latest --letters",
    "dead-letters list --pipeline ones",
    "dead-letters list --pipeline ones --limit 1",
    "dead-letters show LETTER",
    "why out-00000-of-00001.jsonl:1",
    "why out-00000-of-00001.jsonl:9",
    "fate in.csv:2",
    "fate in.csv:3",
    "fate in.csv:9",
    "sources latest",
    "affected --source in.csv",
    "diff latest~1 latest",
    "prune --older-than 0s --dry-run",
    "prune --match name=a --dry-run",
)
ONE_OF_MANY = re.compile(
    r"(?<![\d.,:/>-] )(?<![\d.,:/>-])\b1 (?:more |other |different |dead )?(?:runs|records|rows|kinds|stages|"
    r"letters|elements|files|lines|bytes|edges|checks|transforms|aggregates|contributors|errors|seconds)\b"
)


def test_one_of_anything_is_told_in_the_singular(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in ("1", "2"):
        pathlib.Path("in.csv").write_text(f"name,n\na,{number}\na,x\n", encoding="utf-8")
        with obs.Pipeline("FnApiRunner", name="ones") as p:
            rows = p | "read" >> obs.ReadFromCsv("in.csv")
            pairs = rows | "parse" >> obs.Stage(beam.Map(lambda row: (row["name"], int(row["n"]))))
            sums = pairs | "sum" >> beam.CombinePerKey(sum)
            named = sums | "name" >> beam.MapTuple(lambda name, n: {"name": name, "n": n})
            named | "write" >> obs.WriteToJson("out", ".jsonl")
    said = capsys.readouterr().err
    assert exit_code(["dead-letters", "list", "latest", "--letters", "--json"]) == 0
    letter = json.loads(capsys.readouterr().out)["id"]
    for command in COMMANDS:
        exit_code(command.replace("LETTER", letter).split(" "))
        printed = capsys.readouterr()
        said += f"\n{command}\n{printed.out}{printed.err}"

    assert "1 record" in said
    assert "1 run" in said
    assert [line for line in said.splitlines() if ONE_OF_MANY.search(line)] == []
