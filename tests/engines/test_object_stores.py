"""A pipeline with its input, output and store on an object store, and commands on that store."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.engines.object_stores import running_s3

pytestmark = pytest.mark.engines

PROGRAM = """
import sys
import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
import beam_obs as obs

options = PipelineOptions(["--runner=FnApiRunner", *sys.argv[1:]])
FileSystems.set_options(options)
with FileSystems.create("s3://bucket/numbers.txt") as file:
    file.write(b"1\\n2\\nthree\\n")
with obs.Pipeline(options=options, name="numbers") as p:
    lines = p | "read" >> beam.io.ReadFromText("s3://bucket/numbers.txt")
    numbers = lines | "parse" >> obs.Stage(beam.Map(int))
    sums = numbers | "sum" >> beam.CombineGlobally(sum) | "dict" >> beam.Map(lambda total: {"sum": total})
    sums | "write" >> obs.WriteToJson("s3://bucket/out", ".jsonl")
"""


class Bucket(NamedTuple):
    options: list[str]
    folder: pathlib.Path

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def command(self, *arguments: str) -> str:
        """What a command prints that finds the store by the file of settings."""
        return self.run("-m", "beam_obs.cli", *arguments)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket with a run in it."""
    folder = tmp_path_factory.mktemp("bucket")
    with running_s3() as options:
        found = Bucket(options, folder)
        (folder / "program.py").write_text(PROGRAM)
        report = found.run("program.py", "--obs_store=s3://bucket/store", *options)
        assert "balanced" in report
        settings = [f'{name} = "{value}"' for name, _, value in (one[2:].partition("=") for one in options)]
        (folder / "beam_obs.toml").write_text(
            "\n".join(['store = "s3://bucket/store"', "[filesystem]", *settings])
        )
        yield found


def test_a_run_is_kept_whole(bucket: Bucket) -> None:
    found = json.loads(bucket.command("show", "latest", "--json"))
    assert found["status"] == "done"
    assert found["dead"] == 1
    assert found["end"]["lineage"]["opaque"] == {}


def test_why_reads_the_source_again(bucket: Bucket) -> None:
    why = bucket.command("why", "s3://bucket/out-00000-of-00001.jsonl:1")
    assert "s3://bucket/numbers.txt:2 @2  verified" in why


def test_options_of_the_filesystem_may_stand_on_the_command(bucket: Bucket, tmp_path: pathlib.Path) -> None:
    elsewhere = bucket._replace(folder=tmp_path)
    where = ("--store", "s3://bucket/store", *bucket.options)
    assert "three" in elsewhere.command("dead-letters", "list", "latest", *where)
