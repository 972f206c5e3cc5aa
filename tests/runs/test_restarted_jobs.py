"""A job that an engine starts again as a whole, after parts of it were committed: nothing counts twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import beam_obs as obs
from beam_obs import lineage
from beam_obs.cli.main import exit_code
from beam_obs.records.manifest import Commit, Manifest, commit_content, short_hash
from beam_obs.store.evidence import read_evidence
from beam_obs.store.run_record import RunRecord
from beam_obs.testing import assert_dead_letters, dead_letter


class RestartingRunner(FnApiRunner):
    """Does a whole job twice, as an engine that loses a machine when all but the last step is done."""

    def run_via_runner_api(self, pipeline_proto: Any, options: Any) -> Any:
        super().run_via_runner_api(pipeline_proto, options)
        return super().run_via_runner_api(pipeline_proto, options)


def parse(line: str) -> int:
    if int(line) % 10 == 3:
        raise ValueError("ends with three")
    return int(line)


def restarted(folder: Path) -> RunRecord:
    (folder / "numbers").write_text("".join(f"{number}\n" for number in range(100)))
    with obs.Pipeline(RestartingRunner(), name="again") as p:
        (
            p
            | "read" >> obs.ReadFromText(str(folder / "numbers"))
            | "parse" >> obs.Stage(beam.Map(parse))
            | "key" >> beam.Map(lambda number: (number % 5, number))
            | "group" >> beam.GroupByKey()
            | "count" >> beam.MapTuple(lambda key, numbers: {"key": key, "count": len(list(numbers))})
            | "write" >> obs.WriteToJson(str(folder / "out" / "groups"), file_name_suffix=".jsonl")
        )
    return obs.Store().runs()[0]


def test_what_was_refused_counts_once(tmp_path: Path) -> None:
    run = restarted(tmp_path)

    refused = run.end["dead_letters"]
    assert (refused["count"], refused["by_stage"], refused["superseded"]) == (10, {"parse": 10}, 10)
    assert refused["uncommitted"] == 0
    assert run.end["balance"]["broken"] == []
    assert_dead_letters(obs.Store(), dead_letter(stage="parse", times=10))


@pytest.mark.slow
def test_lineage_is_that_of_the_last_attempt(tmp_path: Path) -> None:
    run = restarted(tmp_path)

    evidence = read_evidence(obs.Store(), run.folder)
    assert sum(manifest.count for manifest in evidence.of_kind("derivations")) == 5
    assert sum(manifest.count for manifest in evidence.of_kind("output_index")) == 5
    assert [(one["records"], len(one["files"])) for one in run.end["outputs"]] == [(5, 1)]
    assert [one["records"] for one in run.end["inputs"]] == [100]
    (touched,) = lineage.affected(source=str(tmp_path / "numbers")).runs
    assert [(sink.records, sink.of) for sink in touched.sinks] == [(5, 5)]
    fate = lineage.fate(f"{tmp_path / 'numbers'}:4")
    assert [letter.committed for letter in fate.into.dead_letters] == [True]


def test_letters_of_an_earlier_attempt_are_shown_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restarted(tmp_path)

    report = capsys.readouterr().err
    assert "and 10 superseded, of an attempt before the engine started the job again" in report
    assert exit_code(["dead-letters", "list", "latest", "--letters", "--json"]) == 0
    listed = capsys.readouterr().out
    letters = [json.loads(line) for line in listed.splitlines()]
    standings = sorted((letter["committed"], letter["superseded"]) for letter in letters)
    assert standings == [(False, True)] * 10 + [(True, False)] * 10


def test_a_folder_of_ones_own_counts_once_as_well(tmp_path: Path) -> None:
    with (
        obs.Pipeline(RestartingRunner(), name="again") as p,
        obs.DeadLetters(str(tmp_path / "dead")) as dead,
    ):
        _ = p | beam.Create(["1", "3"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)

    assert_dead_letters(str(tmp_path / "dead"), dead_letter(stage="parse"))


def test_a_folder_that_several_runs_write_to_keeps_what_each_refused(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            obs.Pipeline("FnApiRunner", name="twice") as p,
            obs.DeadLetters(str(tmp_path / "dead")) as dead,
        ):
            _ = p | beam.Create(["3"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)

    assert_dead_letters(str(tmp_path / "dead"), dead_letter(stage="parse", times=2))


def test_a_plain_pipeline_that_is_run_twice_keeps_what_each_refused(tmp_path: Path) -> None:
    """Its id is drawn when it is built: two runs of it cannot be told from one that was started again."""
    pipeline = beam.Pipeline("FnApiRunner")
    with obs.DeadLetters(str(tmp_path / "dead")) as dead:
        _ = pipeline | beam.Create(["3"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)

    for _ in range(2):
        pipeline.run().wait_until_finish()

    assert_dead_letters(str(tmp_path / "dead"), dead_letter(stage="parse", times=2))


def test_a_step_that_commits_again_keeps_what_it_names_again(tmp_path: Path) -> None:
    """An engine may do a part of a job again, and take the rest from a shuffle that it has kept."""
    folder = tmp_path / "runs" / "numbers" / "0193aaaa-1111-7000-8000-000000000001"
    folder.mkdir(parents=True)
    for at, names in enumerate((["dead_letters-a.avro", "dead_letters-b.avro"], ["dead_letters-b.avro"])):
        manifests = [Manifest("dead_letters", "parse", name, 1).to_json() for name in names]
        content = commit_content(manifests, Commit("run", "evidence", at))
        (folder / f"manifest-{short_hash(content)}.json").write_bytes(content)
        for name in names:
            (folder / name).touch()

    evidence = read_evidence(obs.Store(str(tmp_path)), str(folder.relative_to(tmp_path)))

    assert evidence.committed == ("dead_letters-b.avro",)
    assert evidence.superseded == ("dead_letters-a.avro",)
    assert sum(manifest.count for manifest in evidence.manifests) == 1
