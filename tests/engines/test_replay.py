"""A replay on Prism: through a real job service."""

from __future__ import annotations

import json
import pathlib

import pytest

import beam_obs as obs
import beam_obs.lineage as lineage
from tests import programs
from tests.engines.prism import prism_options

pytestmark = pytest.mark.engines

PROGRAM = """
import os, signal, sys
import apache_beam as beam
import beam_obs as obs
from apache_beam.options.pipeline_options import PipelineOptions

def parse(line):
    if line["fare"] == os.environ.get("KILLED_AT"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"city": line["city"], "fare": float(line["fare"].removesuffix(os.environ.get("KNOWN", "?")))}

output, *rest = sys.argv[1:]
with obs.Pipeline("PrismRunner", PipelineOptions(rest), name="fares") as p:
    fares = p | obs.ReadFromCsv("fares.csv") | "parse" >> obs.Stage(beam.Map(parse))
    keyed = fares | beam.Map(lambda fare: (fare["city"], fare["fare"])) | beam.GroupByKey()
    sums = keyed | beam.MapTuple(lambda city, fares: {"city": city, "sum": sum(fares)})
    _ = sums | "write" >> obs.WriteToJson(output, ".jsonl", num_shards=1)
"""


def test_dead_letters_are_replayed_through_a_job_service(monkeypatch: pytest.MonkeyPatch) -> None:
    pathlib.Path("fares.csv").write_text("city,fare\nrome,1\nparis,2 EUR\nparis,3 EUR\noslo,-\n")
    pathlib.Path("program.py").write_text(PROGRAM)
    options = [*prism_options(), "--obs_report=off"]
    assert programs.run(["program.py", "first", *options]).returncode == 0
    assert obs.Store().find("latest").status_text == "done, 3 dead"
    monkeypatch.setenv("KNOWN", " EUR")
    first = obs.Store().find("latest")
    command = ["-m", "beam_obs.cli", "dead-letters", "replay", first.id, "--program=program.py", "--json"]
    # One that is killed half way leaves nothing, and what it took is new again.
    monkeypatch.setenv("KILLED_AT", "3 EUR")
    assert programs.run([*command, "--", "again", *options]).returncode == -9
    assert list(pathlib.Path().glob("again-*")) == []
    monkeypatch.delenv("KILLED_AT")
    done = programs.run([*command, "--", "again", *options])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["status"], told["letters"], told["refused_again"]) == ("done", 3, 1)
    (file,) = pathlib.Path().glob("again-*.jsonl")
    (row,) = map(json.loads, file.read_text().splitlines())
    assert (row["city"], row["sum"]) == ("paris", 5.0)
    (made_of,) = lineage.why(f"{file}:1").made_of
    assert isinstance(made_of, lineage.FromAggregate)
    lines = [one.record.line for one in made_of.contributors if isinstance(one, lineage.FromSource)]
    assert sorted(filter(None, lines)) == [3, 4]
    # Lines of the source, too.
    command = ["-m", "beam_obs.cli", "replay", first.id, "--program=program.py", "--json", "--from=parse"]
    done = programs.run([*command, "--source=fares.csv:2-3", "--partial-results", "--", "part", *options])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["records"] == 2
    rows = [json.loads(line) for file in pathlib.Path().glob("part-*") for line in file.open()]
    assert sorted((row["city"], row["sum"]) for row in rows) == [("paris", 2.0), ("rome", 1.0)]
