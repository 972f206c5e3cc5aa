from __future__ import annotations

import glob
import pathlib
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from tests.io.pipelines import RUNNER, Keeper, counters


class Upload(beam.PTransform):
    """A user's own sink."""

    def expand(self, records: Any) -> Any:
        return records | "send" >> beam.Map(lambda record: 10 / record) | "sum" >> beam.CombineGlobally(sum)


def test_what_enters_is_counted_and_the_result_is_the_writes_own() -> None:
    names = Keeper()

    with obs.Pipeline(RUNNER, name="writes") as p:
        lines = p | beam.Create(["one", "two", "three"])
        files = lines | "lines" >> obs.Sink(beam.io.WriteToText("out"), dataset="out files")
        _ = files | beam.Map(names)

    assert sorted(pathlib.Path(names.elements[0]).read_text().split()) == ["one", "three", "two"]
    assert counters(p.result, "lines") == {"in": 3, "out": 3}
    run = obs.Store(".beam_obs").runs("writes")[0]
    assert [(one["name"], one["label"]) for one in run.end["outputs"]] == [("out files", "lines")]


def test_a_step_of_a_users_own_sink_is_guarded() -> None:
    kept, dead = Keeper(), Keeper()

    with beam.Pipeline(RUNNER) as p:
        records = p | beam.Create([1, 0, 2])
        total, letters = records | "upload" >> obs.Sink(Upload()).with_dead_letters()
        _ = total | "kept" >> beam.Map(kept)
        _ = letters | "dead" >> beam.Map(dead)

    assert kept.elements == [15.0]
    assert [(letter.stage, letter.payload_text) for letter in dead.elements] == [("upload/Upload/send", "0")]


def test_a_record_that_a_file_sink_cannot_write_is_a_dead_letter_of_the_run() -> None:
    schema = {"type": "record", "name": "Trip", "fields": [{"name": "number", "type": "int"}]}

    with obs.Pipeline(RUNNER, name="avro") as p:
        records = p | beam.Create([{"number": 1}, {"number": "two"}, {"number": 3}])
        _ = records | "trips" >> obs.Sink(beam.io.WriteToAvro("trips", schema))

    assert len(glob.glob("trips*")) == 1
    assert counters(p.result, "trips")["in"] == 3
    assert obs.Store(".beam_obs").runs("avro")[0].end["dead_letters"]["count"] == 1


def test_a_sink_that_is_one_step_is_a_stage() -> None:
    sent = Keeper()

    with obs.Pipeline(RUNNER, name="step") as p:
        _ = p | beam.Create([1, 2]) | "send" >> obs.Sink(beam.Map(sent), dataset="service")

    assert sorted(sent.elements) == [1, 2]
    found = counters(p.result, "send")
    assert (found["in"], found["out"]) == (2, 2)
    assert [one["name"] for one in obs.Store(".beam_obs").runs("step")[0].end["outputs"]] == ["service"]


def test_misuse_is_told_when_the_pipeline_is_built() -> None:
    p = beam.Pipeline(RUNNER)

    with pytest.raises(obs.UsageError, match=r"has no label.*obs\.Sink\(\.\.\.\)"):
        _ = p | beam.Create([1]) | obs.Sink(beam.io.WriteToText("out"))
    with pytest.raises(obs.UsageError, match="needs a PCollection"):
        _ = p | "out" >> obs.Sink(beam.io.WriteToText("out"))
    with pytest.raises(obs.UsageError, match="give a name or URI"):
        obs.Sink(beam.io.WriteToText("out"), dataset=3)  # type: ignore[arg-type]
