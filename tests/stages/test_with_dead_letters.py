"""The two results of a step made with_dead_letters() are unpacked, or it is said where the step was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs

Uses = Callable[[Any, Any], Any]

ADVICE = rf"\(made at {__file__}:\d+\), which was made with_dead_letters\(\): write good, dead = "


def _stage(p: Any, numbers: Any) -> Any:
    return numbers | "step" >> obs.Stage(beam.Map(str)).with_dead_letters()


def _check(p: Any, numbers: Any) -> Any:
    return numbers | "step" >> obs.Check(obs.holds("positive", bool)).with_dead_letters()


def _source(p: Any, numbers: Any) -> Any:
    return p | "step" >> obs.Source(beam.Create([1])).with_dead_letters()


def _sink(p: Any, numbers: Any) -> Any:
    return numbers | "step" >> obs.Sink(beam.io.WriteToText("out")).with_dead_letters()


def _read(kind: Any) -> Any:
    return lambda p, numbers: p | "step" >> kind("in.*", validate=False).with_dead_letters()


def _write(kind: Any, **arguments: Any) -> Any:
    return lambda p, numbers: numbers | "step" >> kind("out", **arguments).with_dead_letters()


def _pubsub(p: Any, numbers: Any) -> Any:
    write = obs.WriteToPubSub("projects/big-city/topics/trips")
    return numbers | beam.Map(bytes) | "step" >> write.with_dead_letters()


def _bigquery(p: Any, numbers: Any) -> Any:
    return (
        numbers | "step" >> obs.WriteToBigQuery("big-city:trips.all", schema="fare:FLOAT").with_dead_letters()
    )


SCHEMA = {"type": "record", "name": "Trip", "fields": [{"name": "fare", "type": "double"}]}
STEPS = {
    "Stage": _stage,
    "Check": _check,
    "Source": _source,
    "Sink": _sink,
    "ReadFromText": _read(obs.ReadFromText),
    "ReadFromCsv": _read(obs.ReadFromCsv),
    "ReadFromJson": _read(obs.ReadFromJson),
    "ReadFromAvro": _read(obs.ReadFromAvro),
    "ReadFromParquet": _read(obs.ReadFromParquet),
    "ReadWholeFiles": _read(obs.ReadWholeFiles),
    "WriteToText": _write(obs.WriteToText),
    "WriteToJson": _write(obs.WriteToJson),
    "WriteToAvro": _write(obs.WriteToAvro, schema=SCHEMA),
    "WriteToPubSub": _pubsub,
    "WriteToBigQuery": _bigquery,
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_two_results_of_any_step_are_not_taken_for_one(step: Uses) -> None:
    p = beam.Pipeline()
    numbers = p | beam.Create([1])
    pair = step(p, numbers)
    with pytest.raises(obs.UsageError, match=rf"those of step 'step' {ADVICE}"):
        _ = pair | beam.Map(print)
    good, dead = pair
    assert isinstance(good, beam.PCollection) or step is _bigquery
    assert isinstance(dead, beam.PCollection)


USES: dict[str, Uses] = {
    "in front of a stage": lambda pair, numbers: pair | "next" >> obs.Stage(beam.Map(str)),
    "in front of a write": lambda pair, numbers: pair | "next" >> obs.WriteToText("out"),
    "as a side input": lambda pair, numbers: numbers | beam.Map(max, beam.pvalue.AsList(pair)),
    "as a side input of a dict": lambda pair, numbers: numbers | beam.Map(max, beam.pvalue.AsDict(pair)),
    "among the inputs of a Flatten": lambda pair, numbers: (pair, numbers) | beam.Flatten(),
    "in a list of inputs of a Flatten": lambda pair, numbers: [numbers, pair] | beam.Flatten(),
    "by name in a CoGroupByKey": lambda pair, numbers: {"a": pair, "b": numbers} | beam.CoGroupByKey(),
    "as an argument of a function": lambda pair, numbers: numbers | beam.Map(max, pair),
    "asked for its type": lambda pair, numbers: pair.element_type,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_two_results_are_taken_for_one_nowhere(use: Uses) -> None:
    p = beam.Pipeline()
    numbers = p | beam.Create([1])
    with pytest.raises(obs.UsageError, match=rf"those of step 'step' {ADVICE}.*\(at {__file__}:\d+\)"):
        use(_stage(p, numbers), numbers)


def test_a_composite_takes_two_results_among_its_inputs() -> None:
    class Merge(beam.PTransform):  # type: ignore[misc]
        def expand(self, inputs: Any) -> Any:
            (good, dead), others = inputs
            return (good, dead | beam.Map(lambda letter: letter.payload_text), others) | beam.Flatten()

    with beam.Pipeline("FnApiRunner") as p:
        texts = p | beam.Create(["1", "x"])
        pair = texts | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
        merged = (pair, texts) | "merge" >> Merge()
        assert_that(merged, equal_to([1, "x", "1", "x"]))


def test_a_read_with_an_output_for_dead_letters_runs(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n3\n")
    with beam.Pipeline("FnApiRunner") as p:
        rows, dead = p | obs.ReadFromCsv(str(tmp_path / "in.csv")).with_dead_letters()
        assert_that(rows, equal_to([{"a": "1", "b": "2"}]), label="rows")
        assert_that(dead | beam.Map(lambda letter: letter.payload), equal_to([b"3"]), label="dead")
